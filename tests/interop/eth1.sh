#!/usr/bin/env bash
# Follows a real development chain (ganache, from npm) with deposits and a re-organisation.
# Usage: tests/interop/eth1.sh [DIR]   DIR is where ganache is, or is to be, installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=${1:-$(mktemp -d)}
port=${ETH1_PORT:-18545}

if [ ! -x "$dir/node_modules/.bin/ganache" ]; then
  npm install --prefix "$dir" --no-audit --no-fund --silent ganache@7.9.2
fi
cargo build --quiet -p blocksmith-node --features execution --example eth1_follow
"$dir/node_modules/.bin/ganache" --server.host 127.0.0.1 --server.port "$port" --wallet.seed blocksmith \
  --logging.quiet > "$dir/ganache.log" 2>&1 &
ganache=$!
trap 'kill "$ganache" 2>/dev/null || true' EXIT
# The port is open once the chain is there.
for _ in $(seq 100); do
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  sleep 0.2
done
"${CARGO_TARGET_DIR:-target}/debug/examples/eth1_follow" "http://127.0.0.1:$port"
