# Our validators with our signer, against Lodestar's node.
run_validator() {
  local port
  start_lodestar_node
  start_signer signer 0..8
  port=$(free_port)
  start validators "$blocksmith" validator --beacon-node "$url" --signer "$signer" \
    --metrics "127.0.0.1:$port"
  node "$here/chain.mjs" "$url" $((epochs * 8 + 1)) --validators "http://127.0.0.1:$port/metrics"
}
