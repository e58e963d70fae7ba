// Compares what two interchange files of EIP-3076 say: compare.mjs FILE FILE
//
// The exit code is 0 if both have the same messages, with the same signing roots, of one chain.
import { readFileSync } from "node:fs";

const files = process.argv.slice(2).map((name) => JSON.parse(readFileSync(name, "utf8")));

/** Returns each message as a text. Lists are compared as sets. */
function messages({ metadata, data }) {
  const all = new Set([`chain ${metadata.genesis_validators_root}`]);
  for (const { pubkey, signed_blocks: blocks, signed_attestations: votes } of data) {
    for (const { slot, signing_root: root } of blocks) all.add(`${pubkey} block ${slot} ${root}`);
    for (const { source_epoch: source, target_epoch: target, signing_root: root } of votes) {
      all.add(`${pubkey} vote ${source} ${target} ${root}`);
    }
  }
  return all;
}

const [one, other] = files.map(messages);
const alone = [...one].filter((message) => !other.has(message));
const more = [...other].filter((message) => !one.has(message));
console.log(
  `${files[0].data.length} keys, ${one.size - 1} messages; in the first file alone: ` +
    `${alone.length}, in the second alone: ${more.length}`,
);
for (const message of [...alone.slice(0, 3), ...more.slice(0, 3)]) console.log(`  ${message}`);
process.exitCode = alone.length + more.length === 0 && one.size > 1 ? 0 : 1;
