#!/usr/bin/env bash
# Mutants of a crate's logic: operators exchanged, arms deleted, bodies replaced, one at a time. A
# test has to kill each, or the mutant stands in `ci/mutants.txt` with the reason why none does.
#
#   ci/mutants.sh services                 every mutant of core/services
#   ci/mutants.sh services --shard 1/4     a quarter of them
#   ci/mutants.sh services --listed        those of the list alone, after a test was added
#   ci/mutants.sh --self-test              the tool over a crate with planted faults
#
# Ends with 1 if a mutant survives that is not listed, or one is listed that is killed or gone. The
# list of mutants is cargo-mutants', which this installs. Sources are not touched: a copy under
# `target/mutants` holds all mutants at once, behind a switch, and is built once.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo mutants --version >/dev/null 2>&1; then
  cargo install --locked cargo-mutants
fi
exec python3 -B ci/mutants/main.py "$@"
