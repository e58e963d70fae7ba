# Lodestar's validators against our node.
run_node() {
  start_node
  start_lodestar_validators validators --interopIndexes 0..7
  node "$here/chain.mjs" "$url" $((epochs * 8 + 1)) --validators "$metrics"
}
