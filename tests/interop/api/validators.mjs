// Eight validators that do their duties by today's routes, with a remote signer for their keys.
import { ssz } from "@lodestar/types";
import { toHex } from "@lodestar/utils";

const PER_EPOCH = 8;
/** Both forms, in which what has both is asked for. */
const FORMS = ["json", "ssz"];

export class Validators {
  constructor(api, signer, ledger, genesis, validators) {
    Object.assign(this, { api, signer, ledger, genesis });
    this.keys = new Map(validators.map(({ index, validator }) => [index, toHex(validator.pubkey)]));
    this.indices = [...this.keys.keys()];
    this.published = new Map();
    /** The lists of an epoch, which are asked for once. */
    this.lists = new Map();
  }

  /** Has an object signed; the signer computes the root by itself. */
  async sign(index, type, object) {
    const { genesisForkVersion, genesisValidatorsRoot } = this.genesis;
    const version = toHex(genesisForkVersion);
    const fork = { previous_version: version, current_version: version, epoch: "0" };
    const body = {
      type,
      fork_info: { fork, genesis_validators_root: toHex(genesisValidatorsRoot) },
    };
    const response = await fetch(`${this.signer}/api/v1/eth2/sign/${this.keys.get(index)}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...body, ...object }),
    });
    if (!response.ok) throw new Error(`${type}: the signer answers ${response.status}`);
    return Buffer.from((await response.json()).signature.slice(2), "hex");
  }

  /** Asks for the lists of an epoch, and compares them with the committees of the state. */
  async duties(epoch) {
    if (this.lists.has(epoch)) return this.lists.get(epoch);
    const { validator, beacon } = this.api;
    const proposers = await this.ledger.check(
      "getProposerDuties",
      "one for each slot, of known keys",
      validator.getProposerDuties({ epoch }),
      (list) => {
        const slots = list.map(({ slot }) => slot);
        const all = [...Array(PER_EPOCH).keys()].map((at) => epoch * PER_EPOCH + at);
        // The genesis slot has no proposer.
        equal(slots, epoch === 0 && slots.length < PER_EPOCH ? all.slice(1) : all);
        for (const duty of list) equal(toHex(duty.pubkey), this.keys.get(duty.validatorIndex));
      },
    );
    const committees = await this.ledger.check(
      "getEpochCommittees",
      "every validator once",
      beacon.getEpochCommittees({ stateId: "head", epoch }),
      (list) => equal(list.flatMap(({ validators }) => validators).sort(), this.indices),
    );
    const attesters = await this.ledger.check(
      "getAttesterDuties",
      "the state's committees",
      validator.getAttesterDuties({ epoch, indices: this.indices }),
      (list) => {
        equal(list.map((duty) => duty.validatorIndex).sort(), this.indices);
        for (const duty of list) {
          const committee = committees.find(
            ({ slot, index }) => slot === duty.slot && index === duty.committeeIndex,
          );
          equal(committee.validators[duty.validatorCommitteeIndex], duty.validatorIndex);
          equal(committee.validators.length, duty.committeeLength);
        }
      },
    );
    const subscriptions = attesters.map((duty) => ({
      validatorIndex: duty.validatorIndex,
      committeeIndex: duty.committeeIndex,
      committeesAtSlot: duty.committeesAtSlot,
      slot: duty.slot,
      isAggregator: true,
    }));
    await this.ledger.check(
      "prepareBeaconCommitteeSubnet",
      "accepted",
      validator.prepareBeaconCommitteeSubnet({ subscriptions }),
    );
    this.lists.set(epoch, { proposers, attesters });
    return this.lists.get(epoch);
  }

  /** Produces, signs and publishes the block of a slot. Returns it, signed. */
  async propose(slot, parent, form) {
    const epoch = Math.floor(slot / PER_EPOCH);
    const { proposers } = await this.duties(epoch);
    const proposer = proposers.find((duty) => duty.slot === slot).validatorIndex;
    const reveal = { randao_reveal: { epoch: String(epoch) } };
    const randaoReveal = await this.sign(proposer, "RANDAO_REVEAL", reveal);
    const produced = {};
    for (const responseWireFormat of FORMS) {
      const answer = await this.ledger.check(
        "produceBlockV3",
        "slot, proposer, head, fork; JSON with SSZ",
        this.api.validator.produceBlockV3(
          { slot, randaoReveal, graffiti: "interop" },
          { responseWireFormat },
        ),
        ({ block }, meta) => {
          equal([block.slot, block.proposerIndex], [slot, proposer]);
          equal(toHex(block.parentRoot), parent);
          equal([meta.version, meta.executionPayloadBlinded], ["phase0", false]);
          equal(Buffer.from(block.body.graffiti).toString().replace(/\0+$/, ""), "interop");
          const before = produced.json ?? block;
          equal(ssz.phase0.BeaconBlock.toJson(block), ssz.phase0.BeaconBlock.toJson(before));
        },
      );
      produced[responseWireFormat] = answer?.block;
    }
    const message = produced[form];
    const block = ssz.phase0.BeaconBlock.toJson(message);
    const signature = await this.sign(proposer, "BLOCK_V2", {
      beacon_block: { version: "PHASE0", block },
    });
    const signed = { message, signature };
    await this.ledger.check(
      `publishBlockV2, sent as ${form}`,
      "accepted",
      this.api.beacon.publishBlockV2(
        { signedBlockContents: { signedBlock: signed } },
        { requestWireFormat: form },
      ),
    );
    this.published.set(slot, signed);
    return signed;
  }

  /** Votes with all validators of a slot, for its block. */
  async attest(slot, root, target, form) {
    const { attesters } = await this.duties(Math.floor(slot / PER_EPOCH));
    const duties = attesters.filter((duty) => duty.slot === slot);
    const votes = [];
    for (const duty of duties) {
      const data = await this.ledger.check(
        "produceAttestationData",
        "slot, head, target",
        this.api.validator.produceAttestationData({ slot, committeeIndex: duty.committeeIndex }),
        (data) => {
          equal([data.slot, data.index], [slot, duty.committeeIndex]);
          equal([toHex(data.beaconBlockRoot), toHex(data.target.root)], [root, target]);
          equal(data.target.epoch, Math.floor(slot / PER_EPOCH));
        },
      );
      const attestation = ssz.phase0.AttestationData.toJson(data);
      const signature = await this.sign(duty.validatorIndex, "ATTESTATION", { attestation });
      const bits = Array.from(
        Array(duty.committeeLength),
        (_, at) => at === duty.validatorCommitteeIndex,
      );
      votes.push({
        aggregationBits: ssz.phase0.CommitteeBits.fromJson(bitlist(bits)),
        data,
        signature,
      });
    }
    await this.ledger.check(
      `submitPoolAttestationsV2, sent as ${form}`,
      "accepted",
      this.api.beacon.submitPoolAttestationsV2(
        { signedAttestations: votes },
        { requestWireFormat: form },
      ),
    );
    return { duties, votes };
  }

  /** Aggregates the votes of a slot. */
  async aggregate(slot, { duties, votes }, form) {
    const signed = [];
    for (const [at, duty] of duties.entries()) {
      const { data } = votes[at];
      const root = ssz.phase0.AttestationData.hashTreeRoot(data);
      const aggregate = await this.ledger.check(
        "getAggregatedAttestationV2",
        "the data; every vote of the committee",
        this.api.validator.getAggregatedAttestationV2({
          attestationDataRoot: root,
          slot,
          committeeIndex: duty.committeeIndex,
        }),
        (aggregate, { version }) => {
          equal(version, "phase0");
          equal(
            ssz.phase0.AttestationData.toJson(aggregate.data),
            ssz.phase0.AttestationData.toJson(data),
          );
          equal(aggregate.aggregationBits.getTrueBitIndexes().length, duty.committeeLength);
        },
      );
      const selection = { aggregation_slot: { slot: String(slot) } };
      const selectionProof = await this.sign(duty.validatorIndex, "AGGREGATION_SLOT", selection);
      const message = { aggregatorIndex: duty.validatorIndex, aggregate, selectionProof };
      const json = ssz.phase0.AggregateAndProof.toJson(message);
      const signature = await this.sign(duty.validatorIndex, "AGGREGATE_AND_PROOF_V2", {
        aggregate_and_proof: { version: "PHASE0", data: json },
      });
      signed.push({ message, signature });
    }
    await this.ledger.check(
      `publishAggregateAndProofsV2, sent as ${form}`,
      "accepted",
      this.api.validator.publishAggregateAndProofsV2(
        { signedAggregateAndProofs: signed },
        { requestWireFormat: form },
      ),
    );
  }
}

/** Throws unless both are the same in JSON. */
export function equal(seen, expected) {
  const texts = [seen, expected].map((value) => JSON.stringify(value));
  if (texts[0] !== texts[1]) throw new Error(`${texts[0]} instead of ${texts[1]}`.slice(0, 300));
}

/** Returns bits as SSZ writes them, with the delimiter, in hexadecimal. */
function bitlist(bits) {
  const all = [...bits, true];
  const bytes = Buffer.alloc(Math.ceil(all.length / 8));
  all.forEach((bit, at) => (bytes[at >> 3] |= Number(bit) << (at & 7)));
  return `0x${bytes.toString("hex")}`;
}
