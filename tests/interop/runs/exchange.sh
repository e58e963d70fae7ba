# Slashing protection changes hands in the middle of a chain. Lodestar signs for four validators and
# our signer for the other four; then each takes over the keys and the record of the other.
run_exchange() {
  local first second ours
  start_node
  start_lodestar_validators first --interopIndexes 0..3
  first=$started
  start_signer signer 4..8
  ours=$started
  start_lodestar_validators second --externalSigner.url "$signer" --externalSigner.fetch true
  second=$started
  until_true 150 "$first" head_is_at 25
  end_and_wait "$first"
  end_and_wait "$second"
  end_and_wait "$ours"

  echo "what Lodestar has signed, imported here"
  protection first export "$logs/first.json"
  "$blocksmith" signer --db "$logs/taken.sqlite" import "$logs/first.json" --complete
  "$blocksmith" signer --db "$logs/taken.sqlite" export "$logs/taken.json"
  node "$here/compare.mjs" "$logs/first.json" "$logs/taken.json"
  echo "what our signer has signed, imported there"
  "$blocksmith" signer --db "$logs/signer.sqlite" export "$logs/ours.json"
  protection given import "$logs/ours.json"
  protection given export "$logs/given.json"
  node "$here/compare.mjs" "$logs/ours.json" "$logs/given.json"

  # The questions are put to copies, since a message that is allowed is recorded.
  cp -r "$logs/first" "$logs/first.asked"
  cp -r "$logs/given" "$logs/given.asked"
  cp "$logs/taken.sqlite" "$logs/taken-asked.sqlite"
  cp "$logs/signer.sqlite" "$logs/signer-asked.sqlite"
  "$blocksmith" signer --db "$logs/minimal-asked.sqlite" import "$logs/first.json"
  echo "of Lodestar's record, imported here as complete"
  ask first taken-asked 0..4
  echo "of Lodestar's record, imported here without --complete"
  rm -r "$logs/first.asked" && cp -r "$logs/first" "$logs/first.asked"
  ask first minimal-asked 0..4
  echo "of our record, imported there"
  ask given signer-asked 4..8

  echo "the chain after the exchange"
  start_signer taken 0..4
  start_lodestar_validators third --externalSigner.url "$signer" --externalSigner.fetch true
  start_lodestar_validators given --interopIndexes 4..7
  # No validator was there for some slots, so what is counted begins with the votes after them.
  node "$here/chain.mjs" "$url" $((25 + 16 + epochs * 8)) --validators "$metrics" --least 0.5 \
    --least-finalized $((3 + epochs))
}

head_is_at() {
  local slot
  slot=$(curl -sf --max-time 2 "$url/eth/v1/node/syncing" | grep -o '"head_slot":"[0-9]*"' \
    | grep -o '[0-9]*') && [ "$slot" -ge "$1" ]
}

# protection FOLDER export|import FILE: Lodestar's command for its database in the folder.
protection() {
  lodestar validator slashing-protection "$2" --network dev --dataDir "$logs/$1" \
    --beaconNodes "$url" --file "$3" "${forks[@]}"
  "${command[@]}" >"$logs/$1-$2.log" 2>&1
}

# ask FOLDER DATABASE INDICES: puts questions to copies of Lodestar's database and of ours.
ask() {
  start_signer "$2" "$3"
  node "$dir/lodestar/probe.mjs" "$logs/$1.json" "$logs/$1.asked/validator-db" "$signer"
  end_and_wait "$started"
}
