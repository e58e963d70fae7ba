// Compares an interchange file with a chain: recorded.mjs URL FILE SLOTS
//
// Every block up to the slot has to be in the file, under its proposer's key; and of each epoch, as
// many validators' votes as are on the chain. The exit code is 0 if that is so.
import { readFileSync } from "node:fs";

import { bits, blocks, get } from "./read.mjs";

const [url, file, slots] = process.argv.slice(2);
const { data } = JSON.parse(readFileSync(file, "utf8"));
const chain = await blocks(url, Number(slots));
const validators = (await get(url, "/eth/v1/beacon/states/head/validators")).data;
const keys = new Map(validators.map(({ index, validator }) => [index, validator.pubkey]));
const signed = new Set(
  data.flatMap(({ pubkey, signed_blocks: list }) => list.map(({ slot }) => `${pubkey}/${slot}`)),
);
const missing = [...chain].filter(
  ([slot, { proposer }]) => !signed.has(`${keys.get(proposer)}/${slot}`),
);

const onChain = new Map();
for (const { body } of chain.values()) {
  for (const { data: vote, aggregation_bits } of body.attestations) {
    const epoch = Number(vote.target.epoch);
    const voters = onChain.get(epoch) ?? onChain.set(epoch, new Set()).get(epoch);
    bits(aggregation_bits).forEach((bit) => voters.add(`${vote.slot}/${vote.index}/${bit}`));
  }
}
const votes = data.map(({ signed_attestations: list }) => {
  return new Set(list.map((vote) => Number(vote.target_epoch)));
});
const recorded = (epoch) => votes.filter((epochs) => epochs.has(epoch)).length;
const short = [...onChain].filter(([epoch, voters]) => recorded(epoch) < voters.size);
const total = [...onChain.values()].reduce((sum, voters) => sum + voters.size, 0);
console.log(`of ${chain.size} blocks on the chain, ${missing.length} are not in the file`);
console.log(`of ${total} votes on the chain, epochs with too few in the file: ${short.length}`);
process.exitCode = missing.length === 0 && short.length === 0 && chain.size > 0 ? 0 : 1;
