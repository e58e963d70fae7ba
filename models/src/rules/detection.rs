//! Detection and protection: what peers send goes through core's own Quarantine, a worker and the
//! slashing detector; a duty asks core's own slashing protection.
//!
//! The detector works through the mailbox of Clearance, into which the Quarantine passes what it
//! has cleared. Protection has a mailbox of its own. What peers choose (one of them hands in two
//! blocks of one slot), the worker's answers, the turns of both services and the duties' requests
//! come in every order. The fault is in the wiring: requests for protection go to Clearance's
//! mailbox.
//!
//! | property | meaning |
//! |---|---|
//! | nothing of a peer comes first | from the time it is sent, a request for protection waits for no item of a peer |

use std::collections::{BTreeMap, VecDeque};

use blocksmith::consensus::{Checkpoint, Consensus};
use blocksmith::hot_db::{self, HotDb};
use blocksmith::machine::Machine;
use blocksmith::quarantine::{Effect, Event, Item, ItemId, Limits, Quarantine, RequestId};
use blocksmith::rewinder::Job;
use blocksmith::slashing::{self, SlashingDetector};
use blocksmith::slashing_protection::{
    Limits as ProtectionLimits, MemoryStore, Outcome, Request, Statement, check_and_record,
};
use blocksmith::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use blocksmith::verdict::{ClearedBlock, Quarantined};
use stateright::{Model, Property};

use super::{Bounded, Instance, Rule, Twin};
use crate::hazard;
use crate::work::work;
use blocksmith_engines::verdict::Breaks;

const TOY: Toy = Toy { slots_per_epoch: 4, validators: 4, payloads: false };
const ANCHOR: Checkpoint<ToyRoot> = Checkpoint { epoch: 0, root: 0 };
const NOW: u64 = 3;
/// What peers send, each a block of its own peer: two of one slot and proposer, and one more.
const BLOCKS: [ToyBlock; 3] =
    [ToyBlock::new(1, 0, 1), ToyBlock::new(2, 0, 1), ToyBlock::new(3, 0, 2)];
/// What duties ask to sign: a block, and another one of its slot.
const ASKED: [Statement; 2] = [
    Statement::Block { slot: 3, signing_root: [1; 32] },
    Statement::Block { slot: 3, signing_root: [2; 32] },
];
const FIRST: &str = "nothing of a peer comes first";

/// A message in the mailbox of Clearance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Message {
    /// The Quarantine has cleared a block.
    Cleared(RequestId, Box<ClearedBlock<Toy>>),
    /// With the fault: a duty asks whether it may sign.
    Request(Statement),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    quarantine: Quarantine<Toy>,
    hot_db: HotDb<Toy>,
    jobs: BTreeMap<RequestId, Job<Toy>>,
    clearance: VecDeque<Message>,
    detector: SlashingDetector<Toy>,
    offences: usize,
    protection: VecDeque<Statement>,
    store: MemoryStore,
    outcomes: Vec<Outcome>,
    sent: usize,
    asked: usize,
    /// Items of peers that Clearance took while a request for protection waited in its mailbox.
    waited_for: usize,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// A peer hands its block in.
    Peer,
    /// A worker answers a request of the Quarantine.
    Worker(RequestId),
    /// Clearance takes its oldest message.
    Clearance,
    /// A duty asks whether it may sign.
    Duty,
    /// Protection answers its oldest request.
    Protection,
}

#[derive(Clone, Copy, Debug)]
struct Detection {
    /// Whether requests for protection go to the mailbox of Clearance.
    shares: bool,
}

impl State {
    fn new() -> Self {
        let mut state = Self {
            quarantine: Quarantine::new(Limits::default(), ANCHOR, 0),
            hot_db: HotDb::new(&TOY, hot_db::Limits::default(), 0, 0, ToyState::anchor()),
            jobs: BTreeMap::new(),
            clearance: VecDeque::new(),
            detector: SlashingDetector::new(slashing::Limits::new(TOY.slots_per_epoch)),
            offences: 0,
            protection: VecDeque::new(),
            store: MemoryStore::default(),
            outcomes: Vec::new(),
            sent: 0,
            asked: 0,
            waited_for: 0,
        };
        state.deliver(Event::Tick { slot: NOW, into_slot_ms: 0 });
        state
    }

    fn deliver(&mut self, event: Event<Toy>) {
        for effect in self.quarantine.handle(&TOY, event) {
            match effect {
                Effect::Check { request, job, .. } => _ = self.jobs.insert(request, job),
                Effect::ClearBlock { request, block, .. } => {
                    self.clearance.push_back(Message::Cleared(request, block));
                }
                _ => {}
            }
        }
    }

    /// Clearance shows the detector a block, and tells the Quarantine that it has it.
    fn take_in(&mut self, request: RequestId, block: &ClearedBlock<Toy>) {
        let header = block.item().identity();
        let signed = TOY.signed_header(block.item().item());
        let (slot, proposer, root) = (header.slot, header.proposer, header.root);
        let event = slashing::Event::Proposal { slot, proposer, root, header: signed };
        self.offences += self.detector.handle(&TOY, event).len();
        let is_request = |message: &Message| matches!(message, Message::Request(_));
        self.waited_for += usize::from(self.clearance.iter().any(is_request));
        self.deliver(Event::Imported { request: Some(request), finalized: ANCHOR });
    }

    fn protect(&mut self, statement: Statement) {
        let request = Request { genesis: [0; 32], key: [1; 48], statement };
        let outcomes = check_and_record(&mut self.store, &ProtectionLimits::default(), &[request]);
        self.outcomes.extend(outcomes.expect("memory does not fail"));
    }
}

impl Bounded for Detection {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("blocks_of_peers", BLOCKS.len().to_string()),
            ("requests", ASKED.len().to_string()),
        ])
    }

    fn step_in_words(&self, state: &State, action: &Action) -> (String, String) {
        let (who, does) = match action {
            Action::Peer => {
                ("peer", format!("sends block {} of slot {}", state.sent + 1, slot(state.sent)))
            }
            Action::Worker(request) => ("worker", format!("answers request {request}")),
            Action::Clearance => match state.clearance.front() {
                Some(Message::Cleared(_, block)) => {
                    let root = block.item().identity().root;
                    ("clearance", format!("shows the detector block {root}"))
                }
                _ => ("clearance", "answers a request for protection".to_owned()),
            },
            Action::Duty => ("duty", "asks whether it may sign".to_owned()),
            Action::Protection => ("protection", "answers a request".to_owned()),
        };
        (who.to_owned(), does)
    }

    fn objects(&self, state: &State) -> Vec<(String, String)> {
        let word = |message: &Message| match message {
            Message::Cleared(_, block) => format!("block {}", block.item().identity().root),
            Message::Request(_) => "a request for protection".to_owned(),
        };
        let clearance: Vec<_> = state.clearance.iter().map(word).collect();
        vec![
            ("mailbox of Clearance".to_owned(), clearance.join(", ")),
            ("requests in protection's own".to_owned(), state.protection.len().to_string()),
            ("checks under way".to_owned(), state.jobs.len().to_string()),
            ("offences that were told".to_owned(), state.offences.to_string()),
            ("answers of protection".to_owned(), format!("{:?}", state.outcomes)),
        ]
    }
}

fn slot(block: usize) -> u64 {
    BLOCKS.get(block).map_or(0, |block| block.slot)
}

impl Model for Detection {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend((state.sent < BLOCKS.len()).then_some(Action::Peer));
        actions.extend(state.jobs.keys().map(|request| Action::Worker(*request)));
        actions.extend((!state.clearance.is_empty()).then_some(Action::Clearance));
        actions.extend((state.asked < ASKED.len()).then_some(Action::Duty));
        actions.extend((!state.protection.is_empty()).then_some(Action::Protection));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Peer => {
                let (id, peer) = (state.sent as ItemId, state.sent as u64);
                let item = Quarantined::new(Item::Block(BLOCKS[state.sent]), peer, 1);
                state.sent += 1;
                state.deliver(Event::Submit { id, item });
            }
            Action::Worker(request) => {
                let job = state.jobs.remove(&request)?;
                let answer = work(&TOY, &mut state.hot_db, job);
                state.deliver(Event::Answered { request, answer });
            }
            Action::Clearance => match state.clearance.pop_front()? {
                Message::Cleared(request, block) => state.take_in(request, &block),
                Message::Request(statement) => state.protect(statement),
            },
            Action::Duty => {
                let statement = ASKED[state.asked];
                state.asked += 1;
                if self.shares {
                    state.clearance.push_back(Message::Request(statement));
                } else {
                    state.protection.push_back(statement);
                }
            }
            Action::Protection => {
                let statement = state.protection.pop_front()?;
                state.protect(statement);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(FIRST, |_, state: &State| state.waited_for == 0)]
    }
}

fn detection(shares: bool) -> Box<dyn Instance> {
    Box::new(Detection { shares })
}

pub(super) const RULES: &[Rule] = &[Rule {
    name: "protection_alone",
    claim: "a request for protection has a mailbox of its own and waits for no item of a peer, \
            whatever the Quarantine clears for the detector",
    states: 276,
    model: || detection(false),
    twins: &[Twin {
        name: "protection_behind_detection",
        hazard: &hazard::Q9,
        claim: "a request for protection waits in the mailbox of Clearance, behind what peers have \
                sent to the detector",
        model: || detection(true),
        breaks: &[Breaks::Property(FIRST)],
    }],
}];

#[cfg(test)]
mod tests {
    use blocksmith::slashing_protection::{Outcome, Refusal};
    use stateright::Model;

    use super::{ASKED, Action, BLOCKS, Detection, State};

    /// Takes steps, the first that is possible each time, until none is.
    fn run(shares: bool) -> State {
        let model = Detection { shares };
        let mut state = State::new();
        loop {
            let mut actions: Vec<Action> = Vec::new();
            model.actions(&state, &mut actions);
            let Some(action) = actions.first() else { return state };
            state = model.next_state(&state, *action).expect("a step that is possible");
        }
    }

    #[test]
    fn the_detector_and_protection_do_their_work_in_one_mailbox_as_in_two() {
        // To the end, with and without the fault: one double proposal of the peers is found, and
        // the second of two blocks of a slot is not to be signed. So the fault is in the order.
        for shares in [false, true] {
            let state = run(shares);
            assert_eq!((state.sent, state.asked), (BLOCKS.len(), ASKED.len()));
            assert_eq!(state.offences, 1, "{shares}");
            let refused = Outcome::Refused(Refusal::DoubleBlock(3));
            assert_eq!(state.outcomes, [Outcome::Recorded, refused], "{shares}");
        }
    }
}
