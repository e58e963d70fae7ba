# Lodestar's node and validators, with our signer as their external signer.
run_signer() {
  start_lodestar_node
  start_signer signer 0..8
  local pid=$started
  start_lodestar_validators validators --externalSigner.url "$signer" --externalSigner.fetch true
  node "$here/chain.mjs" "$url" $((epochs * 8 + 1)) --validators "$metrics"
  # The signer's record has all that is on the chain.
  end_and_wait "$pid"
  "$blocksmith" signer --db "$logs/signer.sqlite" export "$logs/signed.json"
  node "$here/recorded.mjs" "$url" "$logs/signed.json" $((epochs * 8 + 1))
}
