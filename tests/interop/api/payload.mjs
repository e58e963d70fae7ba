// Today's client of the beacon API, by the routes of Gloas: payload.mjs NODE SIGNER SLOTS
//
// The node runs the test fork of phase0 with a payload-timeliness committee; payloads come apart from
// their blocks. The script proposes the blocks, says that the payloads are there (in time, late, or
// not before the next block waits for it), and votes for every member of the committees. Each answer
// is decoded with the client's own types of Gloas and compared. The exit code is 0 if nothing is
// wrong.
import { setTimeout as pause } from "node:timers/promises";

import { getClient, routes } from "@lodestar/api";
import { createChainForkConfig } from "@lodestar/config";
import { minimalChainConfig } from "@lodestar/config/configs";
import { ssz } from "@lodestar/types";
import { toHex } from "@lodestar/utils";

import { Ledger } from "./ledger.mjs";
import { Validators, equal } from "./validators.mjs";

const [url, signer, slots] = process.argv.slice(2);
const PLACES = 16;
const SLOT_MS = 2000;
const never = Object.fromEntries(
  ["ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU", "GLOAS"].map((fork) => [
    `${fork}_FORK_EPOCH`,
    Infinity,
  ]),
);
const config = createChainForkConfig({ ...minimalChainConfig, ...never, SECONDS_PER_SLOT: 2 });
const api = getClient({ baseUrl: url, globalInit: { retries: 0, timeoutMs: 10_000 } }, { config });
const ledger = new Ledger();
process.on("uncaughtException", (error) => {
  ledger.print();
  console.log(error.stack);
  process.exit(1);
});
const { beacon, validator } = api;
const { PayloadAttestationData, PayloadAttestationMessage, PayloadAttestation } = ssz.gloas;
const message = PayloadAttestationMessage;

/** Says that the payload of a block is there. */
async function deliver(root) {
  const answer = await fetch(`${url}/blocksmith/v1/payloads/${root}`, { method: "POST" });
  equal(answer.status, 200);
}

/** Asks what there is to vote on, in both forms. */
async function dataOf(slot, root, present, available) {
  let data;
  for (const responseWireFormat of ["json", "ssz"]) {
    data = await ledger.check(
      "producePayloadAttestationData",
      "slot, block, what was said of the payload",
      validator.producePayloadAttestationData({ slot }, { responseWireFormat }),
      (data, { version }) => {
        equal(version, "gloas");
        equal([data.slot, toHex(data.beaconBlockRoot)], [slot, root]);
        equal([data.payloadPresent, data.blobDataAvailable], [present, available]);
      },
    );
  }
  return data;
}

/** Asks for the duties of an epoch. */
async function duties(epoch, indices, dependentRoot) {
  return ledger.check(
    "getPtcDuties",
    "slots of the epoch, known keys, the dependent root",
    validator.getPtcDuties({ epoch, indices }),
    (list, meta) => {
      equal(toHex(meta.dependentRoot), dependentRoot);
      equal(meta.executionOptimistic, false);
      for (const { slot, validatorIndex, pubkey } of list) {
        equal(Math.floor(slot / 8), epoch);
        equal(toHex(pubkey), client.keys.get(validatorIndex));
      }
      // At most one slot an epoch.
      equal(new Set(list.map((duty) => duty.validatorIndex)).size, list.length);
    },
  );
}

/** Has a member's vote signed. */
async function vote(index, data) {
  const object = { payload_attestation_message: PayloadAttestationData.toJson(data) };
  const signature = await client.sign(index, "PAYLOAD_ATTESTATION_MESSAGE", object);
  return { validatorIndex: index, data, signature };
}

/** Submits votes, in one of both forms. */
function submit(votes, requestWireFormat) {
  return beacon.submitPayloadAttestationMessages(
    { payloadAttestationMessages: votes },
    { requestWireFormat },
  );
}

/** Submits a list of which some are wrong; compares the failures. */
async function failures(name, votes, expected) {
  for (const form of ["json", "ssz"]) {
    const answer = await submit(votes, form);
    const text = await answer.errorBody().catch(() => "");
    ledger.holds(`submitPayloadAttestationMessages: ${name} (${form})`, "the failures", () => {
      equal(answer.status, 400);
      const { failures } = JSON.parse(typeof text === "string" ? text : JSON.stringify(text));
      equal(
        failures.map(({ index, message }) => `${index} ${message}`),
        expected,
      );
    });
  }
}

/** Reads the pool of a slot, in both forms. */
async function readPool(slot, data, places) {
  for (const responseWireFormat of ["json", "ssz"]) {
    await ledger.check(
      "getPoolPayloadAttestations",
      "one aggregate, with the places that have voted",
      beacon.getPoolPayloadAttestations({ slot }, { responseWireFormat }),
      (list, { version }) => {
        equal([version, list.length], ["gloas", 1]);
        equal(PayloadAttestationData.toJson(list[0].data), PayloadAttestationData.toJson(data));
        equal(list[0].aggregationBits.getTrueBitIndexes().length, places);
        equal(PayloadAttestation.serialize(list[0]).length, 140);
      },
    );
  }
}

/** Returns how many places the fork choice has counted for a block, by what they say. */
async function counted(root) {
  const { data } = await (await fetch(`${url}/blocksmith/v1/payload_votes`)).json();
  const one = data.find(({ block_root: of }) => of === root);
  return one && [one.verified, Number(one.present), Number(one.absent), Number(one.available)];
}

const genesis = await ledger.check("getGenesis", "decoded", beacon.getGenesis());
const validators = await ledger.check(
  "getStateValidators",
  "decoded",
  beacon.getStateValidators({ stateId: "head" }),
);
const spec = await (await fetch(`${url}/eth/v1/config/spec`)).json();
ledger.holds("getSpec", "the names of Gloas", () => {
  const { PTC_SIZE, PAYLOAD_DUE_BPS, PAYLOAD_ATTESTATION_DUE_BPS, MAX_PAYLOAD_ATTESTATIONS } =
    spec.data;
  equal(
    [PTC_SIZE, PAYLOAD_DUE_BPS, PAYLOAD_ATTESTATION_DUE_BPS, MAX_PAYLOAD_ATTESTATIONS],
    ["16", "5000", "7500", "4"],
  );
});
const client = new Validators(api, signer, ledger, genesis, validators);
const stop = new AbortController();
const { executionPayloadAvailable, payloadAttestationMessage } = routes.events.EventType;
const events = { [executionPayloadAvailable]: [], [payloadAttestationMessage]: [], wrong: [] };
await api.events.eventstream({
  topics: [executionPayloadAvailable, payloadAttestationMessage],
  signal: stop.signal,
  onEvent: ({ type, message }) => events[type].push(message),
  onError: (error) => events.wrong.push(error.message),
});
const { data: first } = await (await fetch(`${url}/eth/v1/beacon/headers/genesis`)).json();
const roots = new Map([[0, first.root]]);
const sent = [];
for (let slot = 1; slot <= Number(slots); slot++) {
  const begin = (genesis.genesisTime + slot * 2) * 1000;
  await pause(Math.max(0, begin - Date.now()));
  const epoch = Math.floor(slot / 8);
  const form = slot % 2 ? "json" : "ssz";
  const nothing = await validator.producePayloadAttestationData({ slot });
  ledger.holds("producePayloadAttestationData: no block", "204", () => equal(nothing.status, 204));
  const signed = await client.propose(slot, roots.get(slot - 1), form);
  const root = toHex(ssz.phase0.BeaconBlock.hashTreeRoot(signed.message));
  roots.set(slot, root);
  await dataOf(slot, root, false, false);
  // In every fourth slot the payload is late.
  const late = slot % 4 === 0;
  if (late) await pause(Math.max(0, begin + SLOT_MS / 2 - Date.now()));
  await deliver(root);
  const data = await dataOf(slot, root, !late, true);
  const dependent = (of) => roots.get(of <= 1 ? 0 : (of - 1) * 8 - 1);
  const list = await duties(epoch, client.indices, dependent(epoch));
  await duties(epoch + 1, client.indices, dependent(epoch + 1));
  const members = list.filter((duty) => duty.slot === slot).map((duty) => duty.validatorIndex);
  const votes = await Promise.all(members.map((index) => vote(index, data)));
  if (slot === 3) {
    const stranger = client.indices.find((index) => !members.includes(index));
    const other = { ...data, slot: slot + 3 };
    await failures(
      "what is wrong with each",
      [
        { ...votes[0], signature: Buffer.alloc(96, 1) },
        { ...votes[0], validatorIndex: 1 << 20 },
        ...(stranger === undefined ? [] : [await vote(stranger, data)]),
        { ...votes[0], data: other },
      ],
      [
        "0 invalid: bad_signature",
        "1 invalid: unknown_validator",
        ...(stranger === undefined ? [] : ["2 invalid: not_in_committee"]),
        `${stranger === undefined ? 2 : 3} ignored: not_current_slot`,
      ],
    );
  }
  await ledger.check(
    "submitPayloadAttestationMessages",
    "accepted",
    submit(votes, form),
  );
  // A retry after an answer that was lost is a success, and counts once.
  await ledger.check(
    "submitPayloadAttestationMessages",
    "accepted",
    submit(votes, form === "json" ? "ssz" : "json"),
  );
  sent.push(...votes.map((one) => message.toJson(one)));
  await readPool(slot, data, PLACES);
  const expected = late ? [true, 0, PLACES, PLACES] : [true, PLACES, 0, PLACES];
  const found = await counted(root);
  ledger.holds("places that the fork choice counts", "all of the committee", () =>
    equal(found, expected),
  );
}
for (const epoch of [1_000]) {
  const refused = validator.getPtcDuties({ epoch, indices: client.indices });
  await ledger.refused("getPtcDuties", 400, refused);
}
await ledger.refused(
  "producePayloadAttestationData",
  400,
  validator.producePayloadAttestationData({ slot: 100_000 }),
);
const unversioned = await fetch(`${url}/eth/v1/beacon/pool/payload_attestations`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: "[]",
});
ledger.holds("a list without its version", "400", () => equal(unversioned.status, 400));
const metrics = await (await fetch(`${url}/metrics`)).text();
const figure = (outcome) => {
  const line = `blocksmith_payload_votes_total{outcome="${outcome}"} `;
  return Number(metrics.split("\n").find((one) => one.startsWith(line))?.slice(line.length));
};
ledger.holds("votes that were counted", "each that was sent, once", () =>
  equal([figure("accepted"), figure("second")], [sent.length, sent.length]),
);
ledger.holds("event execution_payload_available", "each of our blocks, in order", () =>
  equal(
    events[executionPayloadAvailable].map(({ slot, blockRoot }) => `${slot} ${blockRoot}`),
    [...roots].slice(1).map(([slot, root]) => `${slot} ${root}`),
  ),
);
ledger.holds("event payload_attestation_message", "each of our votes, once", () => {
  const key = (one) => `${one.data.slot} ${one.validator_index}`;
  const heard = events[payloadAttestationMessage].map(({ data }) => key(message.toJson(data)));
  equal(heard.sort(), sent.map(key).sort());
});
ledger.holds("events that cannot be decoded", "none", () => equal(events.wrong, []));
stop.abort();
const right = ledger.print();
console.log(`${sent.length} votes in ${slots} slots`);
process.exit(right ? 0 : 1);
