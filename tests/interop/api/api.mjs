// Today's client of the beacon API, from npm, against our node: api.mjs NODE SIGNER EPOCHS
//
// It does the duties of all validators by today's routes, reads back what it has published, and
// asks what else a validator client asks. Each answer is decoded with the client's own types and
// compared. The exit code is 0 if nothing is wrong and the chain is finalised.
import { setTimeout as pause } from "node:timers/promises";

import { getClient, routes } from "@lodestar/api";
import { createChainForkConfig } from "@lodestar/config";
import { minimalChainConfig } from "@lodestar/config/configs";
import { ssz } from "@lodestar/types";
import { toHex } from "@lodestar/utils";

import { Ledger } from "./ledger.mjs";
import { Validators, equal } from "./validators.mjs";

const [url, signer, epochs] = process.argv.slice(2);
const slots = Number(epochs) * 8 + 1;
const never = Object.fromEntries(
  ["ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU", "GLOAS"].map((fork) => [
    `${fork}_FORK_EPOCH`,
    Infinity,
  ]),
);
const config = createChainForkConfig({ ...minimalChainConfig, ...never, SECONDS_PER_SLOT: 2 });
const globalInit = { retries: 0, timeoutMs: 10_000 };
const api = getClient({ baseUrl: url, globalInit }, { config });
const ledger = new Ledger();
// A duty that cannot go on ends the run; what was seen until then is told.
process.on("uncaughtException", (error) => {
  ledger.print();
  console.log(error.stack);
  process.exit(1);
});
const { Block, SignedBlock } = {
  Block: ssz.phase0.BeaconBlock,
  SignedBlock: ssz.phase0.SignedBeaconBlock,
};

/** Asks what is asked once. Returns the genesis and the validators. */
async function once() {
  const { beacon, config: of, node } = api;
  const genesis = await ledger.check(
    "getGenesis",
    "the fork's version at genesis",
    beacon.getGenesis(),
    ({ genesisForkVersion }) => equal(toHex(genesisForkVersion), "0x00000001"),
  );
  await ledger.check("getSpec", "preset, epochs and slots", of.getSpec(), (spec) => {
    equal([spec.PRESET_BASE, spec.SLOTS_PER_EPOCH, spec.SECONDS_PER_SLOT], ["minimal", "8", "2"]);
  });
  await ledger.check("getForkSchedule", "one fork", of.getForkSchedule(), (forks) =>
    equal(
      forks.map(({ epoch }) => epoch),
      [0],
    ),
  );
  await ledger.check("getDepositContract", "decoded", of.getDepositContract());
  await ledger.check("getNodeVersion", "our name", node.getNodeVersion(), ({ version }) =>
    equal(/blocksmith/i.test(version), true),
  );
  await ledger.check("getSyncingStatus", "synced", node.getSyncingStatus(), ({ isSyncing }) =>
    equal(isSyncing, false),
  );
  await ledger.check("getHealth", "accepted", node.getHealth());
  await ledger.check("getNetworkIdentity", "decoded", node.getNetworkIdentity());
  await ledger.check("getPeers", "none", node.getPeers(), (peers) => equal(peers, []));
  await ledger.check("getPeerCount", "none", node.getPeerCount(), ({ connected }) =>
    equal(connected, 0),
  );
  const validators = await ledger.check(
    "getStateValidators",
    "eight, active",
    beacon.getStateValidators({ stateId: "head" }),
    (list) =>
      equal(
        list.map(({ status }) => status),
        Array(8).fill("active_ongoing"),
      ),
  );
  await ledger.check(
    "postStateValidators",
    "those that were asked for",
    beacon.postStateValidators({ stateId: "head", validatorIds: [1, 3] }),
    (list) =>
      equal(
        list.map(({ index }) => index),
        [1, 3],
      ),
  );
  await ledger.check(
    "getStateValidator",
    "the list",
    beacon.getStateValidator({ stateId: "head", validatorId: 5 }),
    ({ validator }) => equal(toHex(validator.pubkey), toHex(validators[5].validator.pubkey)),
  );
  return { genesis, validators };
}

/** Reads a published block and its state back, in both forms. */
async function readBack(slot, signed) {
  const root = toHex(Block.hashTreeRoot(signed.message));
  const { beacon, debug } = api;
  for (const responseWireFormat of ["json", "ssz"]) {
    await ledger.check(
      "getBlockV2",
      "what was published",
      beacon.getBlockV2({ blockId: slot }, { responseWireFormat }),
      (block, { version }) => {
        equal(version, "phase0");
        equal(SignedBlock.toJson(block), SignedBlock.toJson(signed));
      },
    );
    await ledger.check(
      "getStateV2",
      "the block's state root",
      debug.getStateV2({ stateId: slot }, { responseWireFormat }),
      (state) => {
        equal(toHex(ssz.phase0.BeaconState.hashTreeRoot(state)), toHex(signed.message.stateRoot));
      },
    );
  }
  const isHeader = (found) => {
    equal(toHex(found.root), root);
    equal(toHex(ssz.phase0.BeaconBlockHeader.hashTreeRoot(found.header.message)), root);
  };
  await ledger.check(
    "getBlockHeader",
    "what was published",
    beacon.getBlockHeader({ blockId: "head" }),
    isHeader,
  );
  await ledger.check(
    "getBlockHeaders",
    "what was published",
    beacon.getBlockHeaders({ slot }),
    (list) => {
      equal(list.length, 1);
      isHeader(list[0]);
    },
  );
  await ledger.check(
    "getBlockRoot",
    "what was published",
    beacon.getBlockRoot({ blockId: slot }),
    (found) => equal(toHex(found.root), root),
  );
  await ledger.check(
    "getBlockAttestationsV2",
    "the block's own",
    beacon.getBlockAttestationsV2({ blockId: slot }),
    (list) => {
      equal(list.length, signed.message.body.attestations.length);
    },
  );
  await ledger.check(
    "getStateRoot",
    "the block's state root",
    beacon.getStateRoot({ stateId: slot }),
    (found) => equal(toHex(found.root), toHex(signed.message.stateRoot)),
  );
  return root;
}

/** Listens to the events of all kinds that there are. Returns them as they come. */
async function listen(signal) {
  const { head, block, attestation, finalizedCheckpoint } = routes.events.EventType;
  const events = {
    [head]: [],
    [block]: [],
    [attestation]: [],
    [finalizedCheckpoint]: [],
    wrong: [],
  };
  await api.events.eventstream({
    topics: [head, block, attestation, finalizedCheckpoint],
    signal,
    onEvent: ({ type, message }) => events[type].push(message),
    onError: (error) => events.wrong.push(error.message),
  });
  return events;
}

/** Asks for what there is not, and for what is malformed. */
async function refusals() {
  const unknown = `0x${"11".repeat(32)}`;
  const { beacon, debug, validator } = api;
  await ledger.refused("getBlockV2", 404, beacon.getBlockV2({ blockId: unknown }));
  await ledger.refused("getBlockHeader", 404, beacon.getBlockHeader({ blockId: 100_000 }));
  await ledger.refused("getStateV2", 404, debug.getStateV2({ stateId: unknown }));
  await ledger.refused("getStateRoot", 400, beacon.getStateRoot({ stateId: "nothing" }));
  await ledger.refused("getProposerDuties", 400, validator.getProposerDuties({ epoch: 1_000 }));
  await ledger.refused(
    "produceAttestationData",
    400,
    validator.produceAttestationData({ slot: 1_000, committeeIndex: 0 }),
  );
  await ledger.refused(
    "getAggregatedAttestationV2",
    404,
    validator.getAggregatedAttestationV2({
      attestationDataRoot: Buffer.alloc(32, 1),
      slot: slots,
      committeeIndex: 0,
    }),
  );
  const vote = ssz.phase0.Attestation.defaultValue();
  for (const requestWireFormat of ["json", "ssz"]) {
    await ledger.refused(
      "submitPoolAttestationsV2",
      400,
      beacon.submitPoolAttestationsV2({ signedAttestations: [vote] }, { requestWireFormat }),
    );
  }
}

const stop = new AbortController();
const { genesis, validators } = await once();
const client = new Validators(api, signer, ledger, genesis, validators);
const events = await listen(stop.signal);
const { data: first } = await (await fetch(`${url}/eth/v1/beacon/headers/genesis`)).json();
let parent = first.root;
const targets = new Map([[0, parent]]);
for (let slot = 1; slot <= slots; slot++) {
  await pause(Math.max(0, (genesis.genesisTime + slot * 2) * 1000 - Date.now()));
  const form = slot % 2 ? "json" : "ssz";
  const epoch = Math.floor(slot / 8);
  const signed = await client.propose(slot, parent, form);
  parent = await readBack(slot, signed);
  // The block of an epoch's first slot is its target.
  if (slot % 8 === 0) targets.set(epoch, parent);
  const votes = await client.attest(slot, parent, targets.get(epoch), form);
  await client.aggregate(slot, votes, form);
}
const checkpoints = await ledger.check(
  "getStateFinalityCheckpoints",
  "the roots of our blocks",
  api.beacon.getStateFinalityCheckpoints({ stateId: "head" }),
  ({ currentJustified, finalized }) => {
    equal(toHex(currentJustified.root), targets.get(currentJustified.epoch));
    equal(toHex(finalized.root), targets.get(finalized.epoch));
    equal(finalized.epoch >= Number(epochs) - 2, true);
  },
);
await ledger.check(
  "getStateFork",
  "the versions at genesis",
  api.beacon.getStateFork({ stateId: "head" }),
  ({ currentVersion, epoch }) => equal([toHex(currentVersion), epoch], ["0x00000001", 0]),
);
await ledger.check(
  "getLiveness",
  "all but who has not voted yet",
  api.validator.getLiveness({ epoch: Number(epochs) - 1, indices: client.indices }),
  (list) =>
    equal(
      list.map(({ isLive }) => isLive),
      Array(8).fill(true),
    ),
);
await refusals();

const roots = [...client.published.values()].map(({ message }) =>
  toHex(Block.hashTreeRoot(message)),
);
ledger.holds("event head", "each of our blocks, in order", () =>
  equal(
    events.head.map(({ block }) => block),
    roots,
  ),
);
ledger.holds("event block", "each of our blocks, in order", () =>
  equal(
    events.block.map(({ block }) => block),
    roots,
  ),
);
// A vote comes alone, and with its aggregate.
ledger.holds("event attestation", "a vote and an aggregate for each duty", () =>
  equal(events.attestation.length >= 7 * (Number(epochs) - 1), true),
);
ledger.holds("event finalized_checkpoint", "the roots of our blocks", () => {
  equal(events.finalized_checkpoint.length > 0, true);
  for (const { block, epoch } of events.finalized_checkpoint) equal(block, targets.get(epoch));
});
ledger.holds("events that cannot be decoded", "none", () => equal(events.wrong, []));
stop.abort();
const right = ledger.print();
console.log(
  `justified epoch ${checkpoints?.currentJustified.epoch}, ` +
    `finalized epoch ${checkpoints?.finalized.epoch}`,
);
process.exit(right && checkpoints ? 0 : 1);
