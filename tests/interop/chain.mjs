// Waits for a chain to grow, reads it from its node, and says what became of it.
//
//   chain.mjs URL SLOTS [--validators URL] [--least-finalized EPOCH] [--least PART]
//
// `--validators` is the metrics page of the validator client, Lodestar's or ours; what it has
// counted stands in the table beside what the chain holds. The exit code is 0 if the chain is
// finalised up to EPOCH (two epochs before that of SLOTS, unless it is given), if at least PART
// (0.9, unless it is given) of the slots have a block and of the votes are on the chain, and if
// nobody was slashed.
import { parseArgs } from "node:util";
import { setTimeout as pause } from "node:timers/promises";

import { bits, blocks, get } from "./read.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    validators: { type: "string" },
    "least-finalized": { type: "string" },
    least: { type: "string", default: "0.9" },
  },
});
/** Of the blocks and votes that there should be, how many there are at least. */
const least = Number(values.least);
const [url, slots] = [positionals[0], Number(positionals[1])];

/** Waits until the head has reached the slot, a minute longer than that should take. */
async function grown(genesis, seconds) {
  const end = Number(genesis.genesis_time) + slots * seconds + 60;
  for (;;) {
    const head = Number((await get(url, "/eth/v1/node/syncing")).data.head_slot);
    if (head >= slots) return;
    if (Date.now() / 1000 > end) throw new Error(`the head is still at slot ${head}`);
    await pause(500);
  }
}

/** Returns the root of the canonical block at a slot or before it. */
function rootAt(chain, genesis, slot) {
  for (let at = slot; at > 0; at--) if (chain.has(at)) return chain.get(at).root;
  return genesis;
}

/** Counts the votes of the slots whose votes can be on the chain, and what they say. */
function count(chain, genesis, perEpoch) {
  const votes = new Map();
  let attestations = 0;
  for (const [slot, { body }] of chain) {
    for (const { data, aggregation_bits } of body.attestations) {
      attestations++;
      for (const bit of bits(aggregation_bits)) {
        const vote = `${data.slot}/${data.index}/${bit}`;
        const boundary = Math.floor(Number(data.slot) / perEpoch) * perEpoch;
        const of = {
          slot: Number(data.slot),
          distance: slot - Number(data.slot),
          head: data.beacon_block_root === rootAt(chain, genesis, Number(data.slot)),
          target: data.target.root === rootAt(chain, genesis, boundary),
        };
        if (!votes.has(vote)) votes.set(vote, of);
      }
    }
  }
  return { attestations, votes: [...votes.values()] };
}

/** Returns the sums of the counters of a metrics page, by name. */
async function counters(page) {
  const text = await (await fetch(page, { signal: AbortSignal.timeout(10_000) })).text();
  const sums = {};
  for (const line of text.split("\n")) {
    const match = /^(\w+)(\{[^}]*\})? ([0-9.e+-]+)/.exec(line);
    if (!match) continue;
    const [, name, labels, value] = match;
    sums[name] = (sums[name] ?? 0) + Number(value);
    // Ours are told apart by the kind of the duty.
    const kind = /kind="(\w+)"/.exec(labels ?? "")?.[1];
    if (kind) sums[`${name}/${kind}`] = (sums[`${name}/${kind}`] ?? 0) + Number(value);
  }
  return sums;
}

function row(name, node, validators = "-") {
  console.log(`${name.padEnd(38)}${String(node).padStart(12)}${String(validators).padStart(14)}`);
}

const percent = (part, whole) => `${((100 * part) / whole).toFixed(1)} %`;

const genesis = (await get(url, "/eth/v1/beacon/genesis")).data;
const spec = (await get(url, "/eth/v1/config/spec")).data;
const perEpoch = Number(spec.SLOTS_PER_EPOCH);
await grown(genesis, Number(spec.SECONDS_PER_SLOT));
const chain = await blocks(url, slots);
const validators = (await get(url, "/eth/v1/beacon/states/head/validators")).data.length;
const { data: checkpoints } = await get(url, "/eth/v1/beacon/states/head/finality_checkpoints");
const genesisRoot = (await get(url, "/eth/v1/beacon/headers/0"))?.data.root ?? chain.get(1)?.parent;
const { attestations, votes } = count(chain, genesisRoot, perEpoch);
// Each validator votes once in an epoch. A first epoch begins before the validators are ready, and
// the votes of the last slot are on the chain with the next block only.
const whole = Math.floor(slots / perEpoch);
const counted = votes.filter(({ slot }) => slot >= perEpoch && slot < whole * perEpoch);
const due = validators * (whole - 1);
const justified = Number(checkpoints.current_justified.epoch);
const finalized = Number(checkpoints.finalized.epoch);

const lists = [...chain.values()].map(({ body }) => [
  body.proposer_slashings,
  body.attester_slashings,
]);
const slashings = lists.flat().reduce((sum, list) => sum + list.length, 0);

let said = {};
let missed = "-";
let failures = "-";
if (values.validators) {
  said = await counters(values.validators);
  const sent = (kind) => said[`blocksmith_duties_sent_total/${kind}`];
  said.vc_block_published_total ??= sent("proposal");
  said.vc_published_attestations_total ??= sent("attestation");
  said.vc_published_aggregates_total ??= sent("aggregation");
  missed = said.blocksmith_duties_missed_total ?? missed;
  const wrong = Object.keys(said).filter((name) => /^vc_.*errors(_total)?$/.test(name));
  const names = wrong.filter((name) => said[name] > 0);
  failures = names.length ? names.map((name) => `${name} ${said[name]}`).join(", ") : 0;
}
row("", "node's API", "validators'");
row(`blocks, of ${slots} slots`, chain.size, said.vc_block_published_total);
row("attestations in blocks, published", attestations, said.vc_published_attestations_total);
row("aggregates published", "-", said.vc_published_aggregates_total);
row(`votes of epochs 1 to ${whole - 1}, of ${due}`, counted.length);
row("participation", percent(counted.length, due));
row("  with the right target", percent(counted.filter((vote) => vote.target).length, due));
row("  with the right head", percent(counted.filter((vote) => vote.head).length, due));
row("  in the next slot", percent(counted.filter((vote) => vote.distance === 1).length, due));
row("slashings in blocks", slashings);
row("justified epoch", justified);
row("finalized epoch", finalized);
row("errors counted", "-", failures);
row("duties missed", "-", missed);

const epoch = Number(values["least-finalized"] ?? whole - 2);
const checks = [
  [finalized >= epoch, `finalised up to epoch ${epoch}`],
  [chain.size >= least * slots, `blocks in ${least * 100} % of the slots`],
  [counted.length >= least * due, `${least * 100} % of the votes on the chain`],
  [slashings === 0, "nobody slashed"],
  [failures === "-" || failures === 0, "no errors counted"],
];
for (const [, what] of checks.filter(([held]) => !held)) console.log(`does not hold: ${what}`);
process.exitCode = checks.every(([held]) => held) ? 0 : 1;
