# Today's client of the beacon API asks our node, of the test fork with a payload-timeliness
# committee, by the routes of Gloas. Payloads come apart from their blocks, and the script says when.
run_ptc() {
  start_node 8 --ptc apart
  start_signer signer 0..8
  LODESTAR_PRESET=minimal node "$dir/api/payload.mjs" "$url" "$signer" 20
}
