//! A slot in simulated time: the machine of the votes, the calls to several nodes, and stand-ins.
//!
//! All that decides is the code that runs in production: the machine, who is asked when
//! (`beacon_nodes::{Fleet, Hedge}`), the client's requests and how their answers are read. Time,
//! threads and connections are simulated, so a slot of 12 s takes about a millisecond.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blocksmith::beacon_validator::{Head, Reading, Validator};
use blocksmith::machine::Machine;
use blocksmith::payload_attestation::{
    Effect, Event, Outcome, PayloadAttestation, Reason, Reply, Request, RequestId, Timing,
    VoteProtocol,
};
use blocksmith_consensus::{PayloadVoteDuties, Root, SignatureBytes};

use super::super::requests::{Ballot, data, duties, told, within};
use super::stand_in::{
    ALL, BLOCK_MS, BRANCH, BUSY_MS, LATE_MS, OTHER, PAYLOAD_MS, SLOT, Stand, World,
};
use super::stand_in::{client, key};
use crate::beacon_client::{BeaconClient, HeadEvent};
use crate::beacon_nodes::{Fleet, Hedge, Mode, Step};
use crate::http_client::HttpError;
use crate::validator::ports::ask_head;

pub(super) const SLOT_MS: u64 = 12_000;
/// How long the signer takes.
const SIGNER_MS: u64 = 20;
/// Steps of a simulation, at most: what takes more spins.
const MAX_STEPS: usize = 4_000;

type VoteReply = Reply<PayloadVoteDuties>;

/// What a call is for.
enum Purpose {
    Duties {
        epoch: u64,
        validators: Vec<u64>,
    },
    Data,
    Publish(Arc<Ballot>),
    /// The head of data that were answered, which no event has told.
    Head {
        block: Root,
        data: VoteReply,
    },
}

/// What a node has answered to a call.
enum Answered {
    Reply(VoteReply),
    Head(HeadEvent),
    Taken,
}

struct SimulatedCall {
    request: RequestId,
    purpose: Purpose,
    mode: Mode,
    hedge: Hedge,
    began_ms: u64,
    end_ms: u64,
    answers: BTreeMap<usize, Result<Answered, HttpError>>,
}

/// What happens at a time.
enum Happening {
    /// A node's answer to a call arrives.
    Arrives { call: usize, node: usize },
    /// A call looks at its time.
    Looks { call: usize },
    /// The machine is told something.
    Told(Event<PayloadVoteDuties>),
    /// A node has a head.
    Heads(HeadEvent),
}

/// What became of a slot.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// By validator.
    pub(super) ended: BTreeMap<u64, Outcome>,
    pub(super) began: BTreeSet<u64>,
    pub(super) world: World,
    pub(super) stray: u64,
}

impl Outcomes {
    /// Returns the leads of the votes that were sent, in milliseconds.
    pub(super) fn leads(&self) -> Vec<i64> {
        let lead = |outcome: &Outcome| match outcome {
            Outcome::Sent { lead_ms } => Some(*lead_ms),
            Outcome::Missed(_) => None,
        };
        self.ended.values().filter_map(lead).collect()
    }

    /// Returns why votes were missed.
    pub(super) fn reasons(&self) -> BTreeSet<Reason> {
        let why = |outcome: &Outcome| match outcome {
            Outcome::Missed(why) => Some(*why),
            Outcome::Sent { .. } => None,
        };
        self.ended.values().filter_map(why).collect()
    }
}

struct Simulation {
    stands: Vec<Stand>,
    clients: Vec<BeaconClient>,
    world: Arc<Mutex<World>>,
    fleet: Fleet,
    machine: PayloadAttestation<PayloadVoteDuties>,
    calls: Vec<Option<SimulatedCall>>,
    /// In the order of their times, and of their making.
    agenda: BTreeMap<(u64, u64), Happening>,
    made: u64,
    now_ms: u64,
    told: BTreeSet<Root>,
    ended: BTreeMap<u64, Outcome>,
    began: BTreeSet<u64>,
}

/// Returns a time of the slot, in milliseconds since genesis.
const fn at(into_slot_ms: u64) -> u64 {
    SLOT * SLOT_MS + into_slot_ms
}

/// Runs the slot with these nodes, in the user's order. Nobody asks for their health.
pub(super) fn run(stands: &[Stand]) -> Outcomes {
    let world = World::new(stands.len());
    let protocol = PayloadVoteDuties::new(Timing::gloas(8, SLOT_MS));
    let clients = stands.iter().enumerate().map(|(it, stand)| client(*stand, it, &world)).collect();
    let mut simulation = Simulation {
        stands: stands.to_vec(),
        clients,
        fleet: Fleet::new(stands.len()),
        machine: PayloadAttestation::new(protocol, super::super::limits(SLOT_MS)),
        world,
        calls: Vec::new(),
        agenda: BTreeMap::new(),
        made: 0,
        // The process begins in the slot before: it may vote in the next one.
        now_ms: at(0) - SLOT_MS / 2,
        told: BTreeSet::new(),
        ended: BTreeMap::new(),
        began: BTreeSet::new(),
    };
    simulation.prepare();
    simulation.run();
    let stray = simulation.machine.counters().stray;
    let Simulation { ended, began, clients, world, .. } = simulation;
    drop(clients);
    let world = Arc::into_inner(world).expect("the clients are gone").into_inner();
    Outcomes { ended, began, world: world.expect("no test has panicked"), stray }
}

impl Simulation {
    /// Puts on the agenda what happens by itself.
    fn prepare(&mut self) {
        let validator = |index| Validator { index, key: key(index), may_sign: true };
        let ours = [1, 2, 3, 4].map(validator).to_vec();
        self.plan(self.now_ms, Happening::Told(Event::Validators(ours)));
        for stand in self.stands.clone() {
            if !stand.tells() {
                continue;
            }
            self.plan(self.now_ms + 10, Happening::Heads(stand.head(true)));
            if let Some(block_ms) = stand.block_ms() {
                self.plan(at(block_ms), Happening::Heads(stand.head(false)));
                let (slot, block) = (SLOT, stand.branch().0);
                let there = Happening::Told(Event::Available { slot, block });
                self.plan(at(block_ms.max(PAYLOAD_MS) + 10), there);
            }
        }
    }

    fn plan(&mut self, at_ms: u64, happening: Happening) {
        self.made += 1;
        self.agenda.insert((at_ms.max(self.now_ms), self.made), happening);
    }

    fn run(&mut self) {
        for _ in 0..MAX_STEPS {
            let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let wake = self.machine.wake_at();
            let Some(now) = next.into_iter().chain(wake).min().filter(|now| *now <= at(SLOT_MS))
            else {
                return;
            };
            self.now_ms = now;
            let into_slot = now.saturating_sub(at(0));
            self.world.lock().expect("no test has panicked").now_ms = into_slot;
            if wake.is_some_and(|wake| wake <= now) {
                self.tell(Event::Wake);
                continue;
            }
            if let Some((_, happening)) = self.agenda.pop_first() {
                self.happens(happening);
            }
        }
        panic!("{:?}: more than {MAX_STEPS} steps", self.stands);
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Told(event) => self.tell(event),
            Happening::Heads(event) => self.tell_head(event),
            Happening::Looks { call } => self.step(call),
            Happening::Arrives { call, node } => self.arrive(call, node),
        }
    }

    fn tell_head(&mut self, event: HeadEvent) {
        self.told.insert(event.block);
        self.tell(Event::Head(Head {
            root: event.block,
            slot: event.slot,
            current_dependent: event.current_duty_dependent_root,
            previous_dependent: event.previous_duty_dependent_root,
        }));
    }

    /// Has the machine handle an event, and begins what it asks for.
    fn tell(&mut self, event: Event<PayloadVoteDuties>) {
        let effects = self.machine.handle(&Reading::SinceGenesis(self.now_ms), event);
        for effect in effects {
            match effect {
                Effect::Ask { id, by_ms, request } => self.ask(id, by_ms, request),
                Effect::Began(duty) => assert!(self.began.insert(duty.validator), "{duty:?}"),
                Effect::Ended { duty, outcome } => {
                    let before = self.ended.insert(duty.validator, outcome);
                    assert_eq!(before, None, "{duty:?} ends twice");
                }
                Effect::Took { .. } => {}
            }
        }
    }

    fn ask(&mut self, id: RequestId, by_ms: u64, request: Request<PayloadVoteDuties>) {
        let rest = within(&request, ms(by_ms.saturating_sub(self.now_ms)));
        let end_ms = self.now_ms + u64::try_from(rest.as_millis()).expect("a time of the slot");
        let (purpose, mode) = match request {
            Request::Duties { epoch, validators } => {
                (Purpose::Duties { epoch, validators }, Mode::Ask)
            }
            Request::Data { slot } => {
                assert_eq!(slot, SLOT);
                (Purpose::Data, Mode::Ask)
            }
            Request::Publish { votes, .. } => {
                (Purpose::Publish(Arc::new(Ballot::new(votes))), Mode::Submit)
            }
            Request::Sign { data, duty, .. } => {
                self.check_signature(
                    &PayloadVoteDuties::new(Timing::gloas(8, SLOT_MS)),
                    duty.validator,
                    &data,
                );
                let reply = Reply::Signature(SignatureBytes::new([7; 96]));
                let signed = Happening::Told(Event::Reply { request: id, reply });
                self.plan(self.now_ms + SIGNER_MS, signed);
                return;
            }
        };
        self.begin(id, purpose, mode, end_ms);
    }

    /// D3: what is signed is of a branch on which the validator has to vote.
    fn check_signature(
        &self,
        protocol: &PayloadVoteDuties,
        validator: u64,
        data: &<PayloadVoteDuties as VoteProtocol>::Data,
    ) {
        let claims = protocol.claims(data);
        let of_branch = [BRANCH, OTHER].into_iter().find(|(block, ..)| *block == claims.block);
        let (_, _, voters) = of_branch.expect("a block of the slot");
        assert!(voters.contains(&validator), "{:?}: {validator} {claims:?}", self.stands);
        assert_eq!(claims.slot, SLOT);
    }

    fn begin(&mut self, request: RequestId, purpose: Purpose, mode: Mode, end_ms: u64) {
        let hedge = self.fleet.begin(mode, ms(self.now_ms), ms(end_ms));
        let (began_ms, answers) = (self.now_ms, BTreeMap::new());
        let call = SimulatedCall { request, purpose, mode, hedge, began_ms, end_ms, answers };
        self.calls.push(Some(call));
        self.step(self.calls.len() - 1);
    }

    /// Does what a call does next, as `BeaconNodes::call` does.
    fn step(&mut self, number: usize) {
        loop {
            let Some(call) = &mut self.calls[number] else { return };
            match call.hedge.step(ms(self.now_ms)) {
                Step::Ask(node) => {
                    let is_publication = matches!(call.purpose, Purpose::Publish(_));
                    if let Purpose::Publish(ballot) = &call.purpose {
                        ballot.begin();
                    }
                    self.reach(number, node, is_publication);
                }
                Step::Wait(until) => {
                    // Shares may end within a millisecond: the next one is not too early.
                    let until = u64::try_from(until.as_nanos().div_ceil(1_000_000));
                    let until = until.expect("a time of the slot");
                    self.plan(until, Happening::Looks { call: number });
                    return;
                }
                Step::End(node) => return self.end(number, node),
            }
        }
    }

    /// A request reaches a node.
    fn reach(&mut self, call: usize, node: usize, is_publication: bool) {
        let stand = self.stands[node];
        if let Some(takes_ms) = stand.takes_ms(is_publication) {
            self.plan(self.now_ms + takes_ms, Happening::Arrives { call, node });
        } else if let (Stand::LosesAnswers, Some(Purpose::Publish(ballot))) =
            (stand, self.calls[call].as_ref().map(|call| &call.purpose))
        {
            let mut world = self.world.lock().expect("no test has panicked");
            world.asked[node][1] += 1;
            for vote in ballot.messages() {
                world.take(vote);
            }
        }
    }

    fn arrive(&mut self, number: usize, node: usize) {
        let Some(call) = &mut self.calls[number] else { return };
        let (client, time) = (&self.clients[node], ms(call.end_ms.saturating_sub(self.now_ms)));
        let answer = match &call.purpose {
            Purpose::Duties { epoch, validators } => {
                duties(client, *epoch, validators, time).map(Answered::Reply)
            }
            Purpose::Data => data(client, SLOT, time).map(Answered::Reply),
            Purpose::Publish(ballot) => {
                let said = client.publish_payload_attestations(ballot.messages(), time);
                ballot.finish(said).map(|()| Answered::Taken)
            }
            Purpose::Head { block, .. } => ask_head(client, block, 8, time).map(Answered::Head),
        };
        self.fleet.take(&mut call.hedge, call.mode, node, &answer, ms(self.now_ms));
        call.answers.insert(node, answer);
        self.step(number);
    }

    fn end(&mut self, number: usize, node: Option<usize>) {
        let Some(mut call) = self.calls[number].take() else { return };
        let timeout = ms(call.end_ms - call.began_ms);
        self.fleet.end(&call.hedge, timeout, ms(self.now_ms));
        let is_twice = node.is_some_and(|node| self.stands[node] == Stand::SlowTwice);
        let answer = node.and_then(|node| call.answers.remove(&node));
        let answer = answer.unwrap_or(Err(HttpError::NoAnswer));
        let reply = match (call.purpose, answer) {
            (Purpose::Publish(ballot), answer) => {
                ballot.reply(answer.map(|_| ()), self.stands.len())
            }
            (Purpose::Head { data, .. }, answer) => {
                if let Ok(Answered::Head(event)) = answer {
                    self.tell_head(event);
                }
                data
            }
            (_, Ok(Answered::Reply(reply))) => told(Ok(reply)),
            (_, Ok(_)) => unreachable!("an answer of the call's kind"),
            (_, Err(error)) => told(Err(error)),
        };
        if let (Reply::Data(said), false) = (&reply, is_head_told(&self.told, &reply)) {
            let block = said.beacon_block_root;
            self.told.insert(block);
            let purpose = Purpose::Head { block, data: reply };
            return self.begin(call.request, purpose, Mode::Ask, call.end_ms);
        }
        let request = call.request;
        if is_twice {
            let again = Happening::Told(Event::Reply { request, reply: reply.clone() });
            self.plan(self.now_ms + 50, again);
        }
        self.tell(Event::Reply { request, reply });
    }
}

fn is_head_told(told: &BTreeSet<Root>, reply: &VoteReply) -> bool {
    match reply {
        Reply::Data(said) => told.contains(&said.beacon_block_root),
        _ => true,
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn the_scripts_are_what_their_names_say() {
    // Each alone, in the ways in which one differs from another.
    let alone = |stand| run(&[stand]);
    assert_eq!(alone(Stand::Honest).leads().len(), 3);
    assert!(alone(Stand::SlowTwice).stray > 0, "answers that come twice are stray");
    assert_eq!(alone(Stand::Honest).stray, 0);
    assert_eq!(alone(Stand::OtherBranch).began, BTreeSet::from(OTHER.2));
    assert_eq!(alone(Stand::Refuses).leads().len(), 2);
    assert!(alone(Stand::LosesAnswers).world.taken.len() == 3);
    let late = alone(Stand::Late).leads();
    assert!(late.iter().all(|lead| *lead < (9_000 - LATE_MS as i64)) && late.len() == 3);
    let early = alone(Stand::Honest).leads();
    assert!(early.iter().all(|lead| *lead > 9_000 - (PAYLOAD_MS as i64) - 100));
    let busy = alone(Stand::Busy).leads();
    assert!(busy.iter().all(|lead| *lead < (9_000 - BUSY_MS as i64)) && busy.len() == 3);
    assert_eq!(alone(Stand::JsonOnly).world.asked[0][1], 2, "one list in two forms");
    assert!(ALL.len() == 18 && BLOCK_MS < PAYLOAD_MS);
}
