# Today's client of the beacon API, with validators that do their duties by today's routes, against
# our node and our signer.
run_api() {
  start_node 8
  start_signer signer 0..8
  LODESTAR_PRESET=minimal node "$dir/api/api.mjs" "$url" "$signer" "$epochs"
}
