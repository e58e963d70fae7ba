# What the runs have in common: packages, processes, ports. `run` reads this file.
#
# A process that a run starts is ended when the run ends, whichever way that is. Its output is in
# the run's folder, in a file of its name.

# Slots of two seconds keep a run short, and leave a validator client of 2023 time for its duties.
seconds=2
forks=(--params.ALTAIR_FORK_EPOCH 1000000 --params.BELLATRIX_FORK_EPOCH 1000000
  --params.CAPELLA_FORK_EPOCH 1000000)
pids=()
# Where the process is that was started last.
started=

# Ends the processes of this shell, the newest first: a client before its node.
end_all() {
  # Nothing cuts this short.
  trap '' INT TERM HUP
  local pid at tries
  for ((at = ${#pids[@]} - 1; at >= 0; at--)); do end "${pids[at]}"; done
  for pid in "${pids[@]:-}"; do
    # A node of Lodestar can ignore the signal for seconds.
    for ((tries = 0; tries < 100; tries++)); do
      [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
  done
  pids=()
}

end() { kill -INT "$1" 2>/dev/null || true; }

# Ends one process and waits until it is gone.
end_and_wait() {
  end "$1"
  wait "$1" 2>/dev/null || true
}

# start NAME COMMAND..: starts a process whose output goes to NAME.log.
start() {
  local name=$1
  shift
  # A shell's background processes ignore SIGINT unless they are told otherwise.
  node "$here/start.mjs" "$logs/$name.log" "$@" &
  started=$!
  pids+=("$started")
}

free_port() {
  node -e 'const s = require("net").createServer();
    s.listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}

# until_true SECONDS PID COMMAND..: repeats a command until it succeeds; fails when the time is over
# or the process is gone.
until_true() {
  local end=$(($(date +%s) + $1)) pid=$2
  shift 2
  until "$@"; do
    kill -0 "$pid" 2>/dev/null && [ "$(date +%s)" -lt "$end" ] || {
      echo "gave up waiting for: $*" >&2; return 1; }
    sleep 0.2
  done
}

# address NAME PATTERN: prints the address that a process has printed on the line with PATTERN.
address() { sed -n "s|.*$2.*\(http://[0-9.:]*\).*|\1|p" "$logs/$1.log" 2>/dev/null | head -1; }
has_address() { [ -n "$(address "$1" "$2")" ]; }
answers() { curl -sf -o /dev/null --max-time 2 "$1"; }

# Versions that were published later are not taken, so that what the packages themselves ask for is
# always the same.
packages_before=2026-11-01

# Installs the packages and builds the command, unless they are there.
prepare() {
  local name wanted
  mkdir -p "$dir/runs"
  dir=$(cd "$dir" && pwd)
  for name in lodestar api; do
    mkdir -p "$dir/$name"
    wanted="$packages_before $(cat "$here/$name/package.json")"
    # It is written when all packages are there: an installation that was cut off begins again.
    if [ "$(cat "$dir/$name/installed" 2>/dev/null)" != "$wanted" ]; then
      echo "installing the packages of $name"
      rm -rf "$dir/$name"
      mkdir -p "$dir/$name"
      cp "$here/$name/package.json" "$dir/$name/"
      (cd "$dir/$name" && npm install --no-audit --no-fund --silent --before "$packages_before") || {
        echo "npm cannot install the packages of $name" >&2; return 1; }
      printf '%s' "$wanted" >"$dir/$name/installed"
    fi
  done
  cp "$here"/lodestar/*.cjs "$here"/lodestar/*.mjs "$dir/lodestar/"
  cp "$here"/api/*.mjs "$dir/api/"
  case ${INTEROP_BUILD:-release} in
    debug) cargo build --locked -p blocksmith-cli --features node ;;
    *) cargo build --release --locked -p blocksmith-cli --features node ;;
  esac
  blocksmith=${CARGO_TARGET_DIR:-$PWD/target}/${INTEROP_BUILD:-release}/blocksmith
}

# lodestar ARGUMENTS..: sets `command` to what runs Lodestar.
lodestar() {
  command=(env LODESTAR_PRESET=minimal
    "NODE_OPTIONS=--max-old-space-size=2048 --no-deprecation --require $dir/lodestar/polyfill.cjs"
    "$dir/lodestar/node_modules/.bin/lodestar" "$@")
}

# start_node [SECONDS [ARGUMENTS..]]: starts our node on a chain of eight validators that begins in a
# moment. Sets `url` and `genesis`.
start_node() {
  genesis=$(($(date +%s) + ${1:-15}))
  start node "$blocksmith" node --interop 8 --genesis-time "$genesis" --seconds-per-slot $seconds \
    --listen 127.0.0.1:0 "${@:2}"
  until_true 30 "$started" has_address node 'beacon API'
  url=$(address node 'beacon API')
}

# Starts Lodestar's node, whose chain begins at once. Sets `url`.
start_lodestar_node() {
  local port
  port=$(free_port)
  url=http://127.0.0.1:$port
  lodestar dev --dataDir "$logs/node" --reset --rest --rest.namespace '*' \
    --rest.address 127.0.0.1 --rest.port "$port" --listenAddress 127.0.0.1 \
    --port "$(free_port)" --discv5 false --mdns false --eth1 false --genesisValidators 8 \
    --genesisTime "$(($(date +%s) + 15))" --params.SECONDS_PER_SLOT $seconds "${forks[@]}"
  # It writes genesis.ssz where it runs.
  start node env -C "$logs" "${command[@]}"
  until_true 90 "$started" answers "$url/eth/v1/beacon/genesis"
}

# start_lodestar_validators NAME ARGUMENTS..: starts Lodestar's validators against `url`. Sets
# `metrics` to where they count what they do.
start_lodestar_validators() {
  local name=$1 port
  shift
  port=$(free_port)
  metrics=http://127.0.0.1:$port/metrics
  lodestar validator --network dev --dataDir "$logs/$name" --beaconNodes "$url" \
    --params.SECONDS_PER_SLOT $seconds --metrics --metrics.address 127.0.0.1 \
    --metrics.port "$port" "${forks[@]}" "$@"
  start "$name" "${command[@]}"
}

# start_signer NAME INDICES: starts our signer for interop keys. Sets `signer`.
start_signer() {
  start "$1" "$blocksmith" signer --db "$logs/$1.sqlite" --interop "$2" --preset minimal \
    --listen 127.0.0.1:0
  until_true 30 "$started" has_address "$1" 'signing for'
  signer=$(address "$1" 'signing for')
}
