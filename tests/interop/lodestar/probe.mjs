// Asks two holders of the same record to sign: probe.mjs FILE DATABASE SIGNER
//
// FILE is the record as an interchange file, DATABASE the folder of Lodestar's slashing protection,
// and SIGNER our signer's address. For each key of the file, both are asked for messages that
// contradict what was signed, and for messages that come after it. The exit code is 0 if both
// refuse all of the former and none of the latter.
import { readFileSync } from "node:fs";

import { LevelDbController } from "@lodestar/db";
import { SlashingProtection } from "@lodestar/validator";

const [file, database, signer] = process.argv.slice(2);
const { metadata, data } = JSON.parse(readFileSync(file, "utf8"));
const root = `0x${"5a".repeat(32)}`;
const bytes = (hex) => Buffer.from(hex.slice(2), "hex");

/** Returns the questions of a key: what they are, and whether they have to be refused. */
function questions({ pubkey, signed_blocks: blocks, signed_attestations: votes }) {
  const slots = blocks.map(({ slot }) => Number(slot));
  const pairs = votes.map((vote) => [Number(vote.source_epoch), Number(vote.target_epoch)]);
  const [source, target] = pairs.sort((one, other) => one[1] - other[1]).at(-1) ?? [0, 0];
  const list = [];
  const block = (what, refuse, slot) => list.push({ pubkey, what, refuse, slot });
  const vote = (what, refuse, from, to) =>
    list.push({ pubkey, what, refuse, source: from, target: to });
  if (slots.length > 0) {
    slots.forEach((slot) => block("another block of a signed slot", true, slot));
    if (Math.min(...slots) > 0) block("a block before all", true, Math.min(...slots) - 1);
    block("a block after all", false, Math.max(...slots) + 100);
  }
  if (pairs.length > 0) {
    pairs.forEach(([from, to]) => vote("another vote for a signed target", true, from, to));
    if (source > 0) vote("a vote around the last one", true, source - 1, target + 1);
    vote("a vote after all", false, target, target + 2);
    // This one lies inside the vote that was allowed just now.
    if (target > 0) vote("a vote inside an earlier one", true, target + 1, target + 1);
  }
  return list.filter(({ source: from, target: to }) => to === undefined || from <= to);
}

/** Returns whether Lodestar's protection allows a message. */
async function allowed(protection, { pubkey, slot, source: sourceEpoch, target: targetEpoch }) {
  const signingRoot = bytes(root);
  try {
    if (slot !== undefined) {
      await protection.checkAndInsertBlockProposal(bytes(pubkey), { slot, signingRoot });
    } else {
      const vote = { sourceEpoch, targetEpoch, signingRoot };
      await protection.checkAndInsertAttestation(bytes(pubkey), vote);
    }
    return true;
  } catch (error) {
    if (error.type?.code === undefined) throw error;
    return false;
  }
}

/** Returns whether our signer signs a message. */
async function signed({ pubkey, slot, source, target }) {
  const version = "0x00000001";
  const fork = { previous_version: version, current_version: version, epoch: "0" };
  const { genesis_validators_root } = metadata;
  const header = { proposer_index: "0", parent_root: root, state_root: root, body_root: root };
  const checkpoint = (epoch) => ({ epoch: String(epoch), root });
  const vote = { slot: String((target ?? 0) * 8), index: "0", beacon_block_root: root };
  const object =
    slot !== undefined
      ? {
          type: "BLOCK_V2",
          beacon_block: { version: "PHASE0", block_header: { ...header, slot: String(slot) } },
        }
      : {
          type: "ATTESTATION",
          attestation: { ...vote, source: checkpoint(source), target: checkpoint(target) },
        };
  const response = await fetch(`${signer}/api/v1/eth2/sign/${pubkey}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...object, fork_info: { fork, genesis_validators_root } }),
  });
  if (response.status !== 200 && response.status !== 412) {
    throw new Error(`status ${response.status}: ${await response.text()}`);
  }
  return response.status === 200;
}

const controller = new LevelDbController({ name: database }, {});
await controller.start();
const protection = new SlashingProtection({ controller });
const rows = new Map();
for (const question of data.flatMap(questions)) {
  const row = rows.get(question.what) ?? {
    refuse: question.refuse,
    asked: 0,
    lodestar: 0,
    ours: 0,
  };
  rows.set(question.what, row);
  row.asked++;
  if (!(await allowed(protection, question))) row.lodestar++;
  if (!(await signed(question))) row.ours++;
}
await controller.stop();
console.log(`${"asked of both, by key".padEnd(36)}asked  refused by Lodestar  by ours`);
let right = rows.size > 0;
for (const [what, { refuse, asked, lodestar, ours }] of rows) {
  const expected = refuse ? asked : 0;
  right &&= lodestar === expected && ours === expected;
  console.log(
    what.padEnd(36) +
      String(asked).padStart(5) +
      String(lodestar).padStart(21) +
      String(ours).padStart(9),
  );
}
process.exit(right ? 0 : 1);
