//! What Clearance does with a message. It is written once for everything that runs it: threads over
//! mailboxes, the processes of a model, and twins (variants with a deliberate fault, which a check
//! must catch).
//!
//! **Contract.** [`turn`] hands one message to the machine and returns what is to be done;
//! [`carry_out`] does one piece of it, through [`Ports`]. The caller carries out every piece, in
//! order, before the next turn. A [`Receipt`](Ports::Receipt) is given back exactly once, by
//! [`Ports::taken`] or by [`Ports::lost`], and after everything else that its message set off. A
//! turn that loses its message by a panic drops the receipt.

mod records;

use crate::clearance::machine::{ChainView, Clearance, Effect, Event, Import};
use crate::clearance::material::{BuildOn, Material, WantedOf};
use crate::cold_db::Record;
use crate::consensus::{Balances, Checkpoint, Consensus, Slot};
use crate::gossip::Operation;
use crate::hot_db::Prune;
use crate::notice::{Notice, NoticeOf};
use crate::rewinder::{Answer, Job, Lane};
use crate::supervision::{Loss, Steps, Turn, contain};

/// How many requests for states may be under way at once: one for the balances of the justified
/// checkpoint, one for those of its predecessor if that is not answered yet, and one that asks the
/// finalised checkpoint's state which operations are spent.
pub const STATE_REQUESTS: usize = 3;

/// What Clearance asks of a state that the Rewinder loads for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request<C: Consensus> {
    /// The weights of votes.
    Balances(Checkpoint<C::Root>),
    /// Which of these operations are spent.
    Spent(Vec<Operation<C>>),
}

/// The finalised checkpoint; root, parent and slot of every block of the fork choice.
pub type Chain<R> = (Checkpoint<R>, Vec<(R, R, Slot)>);

/// What Clearance can be told. `R` is the receipt of an import; `V`, `K` and `A` are the reply ends
/// of the three questions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message<C: Consensus, R, V, K, A> {
    /// The Quarantine passes something on.
    Import {
        /// The item or the tick.
        import: Import<C>,
        /// The end on which Clearance reports what has become of it.
        reply: R,
    },
    /// The balances that Clearance has asked for.
    Balances {
        /// The checkpoint they belong to.
        checkpoint: Checkpoint<C::Root>,
        /// The balances; `None` if they could not be had.
        balances: Option<Balances>,
    },
    /// The operations that are spent, of those that Clearance has asked about.
    Spent(Vec<Operation<C>>),
    /// Somebody asks for the view of the chain.
    View(V),
    /// The Quarantine asks for the blocks of the fork choice.
    Chain(K),
    /// Somebody asks which block to build on, and what a block there can be made of.
    Material {
        /// The block to build on.
        on: BuildOn<C::Root>,
        /// What is wanted beside it.
        wanted: WantedOf<C>,
        /// The reply end.
        reply: A,
    },
}

impl<C: Consensus, R, V, K, A> Message<C, R, V, K, A> {
    /// Returns the kind of message, for reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Import { import: Import::Block { .. }, .. } => "block",
            Self::Import { import: Import::Attestation(_), .. } => "attestation",
            Self::Import { import: Import::Vote(_), .. } => "vote",
            Self::Import { import: Import::Operation(_), .. } => "operation",
            Self::Import { import: Import::PayloadVote(_), .. } => "payload vote",
            Self::Import { import: Import::Payload { .. }, .. } => "payload",
            Self::Import { import: Import::Tick { .. }, .. } => "tick",
            Self::Balances { .. } => "balances",
            Self::Spent(_) => "operations",
            Self::View(_) | Self::Chain(_) | Self::Material { .. } => "question",
        }
    }

    /// Returns whether the message comes through a reserved slot.
    #[must_use]
    pub fn is_reply(&self) -> bool {
        matches!(self, Self::Balances { .. } | Self::Spent(_))
    }

    /// Turns the Rewinder's answer to a request into a message. This runs the protocol's code
    /// outside of any step, so a panic of that code is contained here.
    pub fn reply(consensus: &C, request: Request<C>, answer: Answer<C>) -> Self {
        let state = match answer {
            Answer::State(at) => Some(at.state),
            _ => None,
        };
        match request {
            Request::Balances(checkpoint) => {
                let balances = |state| contain(|| consensus.balances(state).ok()).ok().flatten();
                Self::Balances { checkpoint, balances: state.as_ref().and_then(balances) }
            }
            Request::Spent(mut operations) => {
                operations.retain(|operation| {
                    let spent = |state| contain(|| consensus.is_spent(state, operation));
                    state.as_ref().is_some_and(|state| spent(state).unwrap_or(false))
                });
                Self::Spent(operations)
            }
        }
    }
}

/// Clearance's connections to the other services, to requesters and to observers.
pub trait Ports<C: Consensus> {
    /// The end on which Clearance reports what has become of an import.
    type Receipt;
    /// The reply end of [`Message::View`].
    type View;
    /// The reply end of [`Message::Chain`].
    type Chain;
    /// The reply end of [`Message::Material`].
    type Candidates;
    /// A slot that is kept for the answer to a request for a state.
    type Slot;

    /// Returns whether the load allows looking for slashable offences.
    fn wants_detection(&self) -> bool;
    /// Answers a [`Message::View`].
    fn view(&mut self, to: Self::View, view: ChainView<C::Root>);
    /// Answers a [`Message::Chain`].
    fn chain(&mut self, to: Self::Chain, chain: Chain<C::Root>);
    /// Answers a [`Message::Material`].
    fn candidates(&mut self, to: Self::Candidates, material: Material<C>);
    /// Tells the HotDB what to keep. May wait for room.
    fn prune(&mut self, keep: Prune<C::Root>);
    /// Takes one of [`STATE_REQUESTS`] slots, if one is free.
    fn reserve(&mut self) -> Option<Self::Slot>;
    /// Has the Rewinder do a job; [`Message::reply`] makes its answer a message for the slot.
    fn request(&mut self, slot: Self::Slot, request: Request<C>, lane: Lane, job: Job<C>);
    /// Returns whether there is a ColdDB. By default there is none.
    fn keeps_records(&self) -> bool {
        false
    }
    /// Gives the ColdDB what has been taken in. May wait for room.
    fn record(&mut self, _record: Record<C>) {}
    /// Tells the ColdDB that finality has moved. May wait for room.
    fn finalized(&mut self, _checkpoint: Checkpoint<C::Root>) {}
    /// Sends a notice to the observers.
    fn tell(&mut self, notice: NoticeOf<C>);
    /// Says that an import has been taken in, and what is finalised after it.
    fn taken(&mut self, to: Self::Receipt, finalized: Checkpoint<C::Root>);
    /// Says that an import has been lost.
    fn lost(&mut self, to: Self::Receipt);
}

/// What Clearance has yet to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work<C: Consensus, R> {
    /// The ColdDB has to be given what has been taken in. This comes before all that follows from
    /// it.
    Record(Record<C>),
    /// What its machine asks for.
    Effect(Effect<C>),
    /// Clearance has to say that an import has been taken in.
    Taken(R),
    /// Clearance has to say that an import has been lost.
    Lost(R),
}

/// Handles a message: first what the load asks, then the message itself.
///
/// # Errors
/// Returns what is lost. If that is [`Loss::Machine`], the machine must not be used any more.
pub fn turn<C: Consensus, P: Ports<C>>(
    machine: &mut Clearance<C>,
    consensus: &C,
    steps: &impl Steps,
    ports: &mut P,
    message: Message<C, P::Receipt, P::View, P::Chain, P::Candidates>,
) -> Result<Vec<Work<C, P::Receipt>>, Loss> {
    let mut work = Vec::new();
    let on = ports.wants_detection();
    if on != machine.detects() {
        let event = Event::Detection { on };
        let effects = steps.hand(Turn::FollowUp, "load", machine, consensus, event);
        let effects = effects.map_err(|_| Loss::Machine)?;
        work.extend(effects.into_iter().map(Work::Effect));
    }
    let word = message.word();
    // What must be answered is kept out of the step.
    let (event, receipt) = match message {
        Message::Import { import, reply } => (Event::Import(import), Some(reply)),
        Message::Balances { checkpoint, balances } => {
            (Event::Balances { checkpoint, balances }, None)
        }
        Message::Spent(operations) => (Event::Spent(operations), None),
        Message::View(reply) => {
            if let Ok(view) = steps.look(word, || machine.view()) {
                ports.view(reply, view);
            }
            return Ok(work);
        }
        Message::Chain(reply) => {
            let look = || (machine.view().finalized, machine.blocks());
            if let Ok(chain) = steps.look(word, look) {
                ports.chain(reply, chain);
            }
            return Ok(work);
        }
        Message::Material { on, wanted, reply } => {
            if let Ok(material) = steps.look(word, || machine.material(on, wanted)) {
                ports.candidates(reply, material);
            }
            return Ok(work);
        }
    };
    let instead = instead_of(&event);
    let mut records = Vec::new();
    if ports.keeps_records() {
        records.extend(records::of_event(machine, consensus, &event));
    }
    let step = steps.hand(Turn::Step, word, machine, consensus, event);
    let effects = match (step, instead) {
        (Err(Loss::Message), Some(event)) => {
            steps.hand(Turn::FollowUp, word, machine, consensus, event)
        }
        (Err(Loss::Message), None) => return Ok(work),
        (step, _) => step,
    }?;
    if ports.keeps_records() {
        records.extend(records::of_effects(&effects));
    }
    records.retain(|record| records::is_in(machine, record));
    work.extend(records.into_iter().map(Work::Record));
    let lost = effects.iter().any(|effect| matches!(effect, Effect::NotImported { .. }));
    work.extend(effects.into_iter().map(Work::Effect));
    work.extend(receipt.map(if lost { Work::Lost } else { Work::Taken }));
    Ok(work)
}

/// Returns what the machine is told if a message is lost. For balances, it is that they cannot be
/// had now; for spent operations, that none is. For a tick, it is the time, which is all that a
/// tick carries and which the Quarantine has, too.
fn instead_of<C: Consensus>(event: &Event<C>) -> Option<Event<C>> {
    match event {
        Event::Balances { checkpoint, .. } => {
            Some(Event::Balances { checkpoint: *checkpoint, balances: None })
        }
        Event::Import(Import::Tick { slot }) => Some(Event::Import(Import::Tick { slot: *slot })),
        Event::Spent(_) => Some(Event::Spent(Vec::new())),
        Event::Import(_) | Event::Detection { .. } => None,
    }
}

/// Carries out one piece of work.
///
/// # Errors
/// [`Loss::Machine`] if a step that followed from it was cut short.
pub fn carry_out<C: Consensus, P: Ports<C>>(
    machine: &mut Clearance<C>,
    consensus: &C,
    steps: &impl Steps,
    ports: &mut P,
    work: Work<C, P::Receipt>,
) -> Result<(), Loss> {
    match work {
        Work::Record(record) => ports.record(record),
        Work::Effect(Effect::Prune(keep)) => ports.prune(keep),
        Work::Effect(Effect::RequestBalances(checkpoint)) => {
            // If all requests are under way, this one is repeated at the next tick.
            let none = Event::Balances { checkpoint, balances: None };
            let request = Request::Balances(checkpoint);
            return ask(machine, consensus, steps, ports, (checkpoint, request), none);
        }
        Work::Effect(Effect::RequestSpent { checkpoint, operations }) => {
            let (request, none) = (Request::Spent(operations), Event::Spent(Vec::new()));
            return ask(machine, consensus, steps, ports, (checkpoint, request), none);
        }
        Work::Effect(effect) => {
            if let Effect::NotImported { root, refusal } = &effect {
                tracing::error!(?root, %refusal, "a cleared block is not in the fork choice");
            }
            if let Effect::Finalized(checkpoint) = &effect {
                ports.finalized(*checkpoint);
            }
            notice(effect).into_iter().for_each(|notice| ports.tell(notice));
        }
        Work::Taken(receipt) => ports.taken(receipt, machine.view().finalized),
        Work::Lost(receipt) => ports.lost(receipt),
    }
    Ok(())
}

/// Has the Rewinder load a checkpoint's state for a request. If all requests are under way, the
/// machine is told `none`.
fn ask<C: Consensus, P: Ports<C>>(
    machine: &mut Clearance<C>,
    consensus: &C,
    steps: &impl Steps,
    ports: &mut P,
    (checkpoint, request): (Checkpoint<C::Root>, Request<C>),
    none: Event<C>,
) -> Result<(), Loss> {
    if let Some(slot) = ports.reserve() {
        let at = consensus.start_slot(checkpoint.epoch);
        let job = Job::State { root: checkpoint.root, slot: at };
        ports.request(slot, request, Lane::Queries, job);
    } else {
        let effects = steps.hand(Turn::FollowUp, "balances", machine, consensus, none);
        let effects = effects.map_err(|_| Loss::Machine)?;
        debug_assert!(effects.is_empty(), "it asks for nothing");
    }
    Ok(())
}

/// Returns what observers are told of an effect, if that is all that it is.
pub fn notice<C: Consensus>(effect: Effect<C>) -> Option<NoticeOf<C>> {
    Some(match effect {
        Effect::Prune(_) | Effect::RequestBalances(_) | Effect::RequestSpent { .. } => return None,
        Effect::HeadChanged { old, new, reorg_depth } => {
            Notice::HeadChanged { old, new, reorg_depth }
        }
        Effect::Justified(checkpoint) => Notice::Justified(checkpoint),
        Effect::Finalized(checkpoint) => Notice::Finalized(checkpoint),
        Effect::Equivocation { proposer, slot, roots, slashing } => {
            Notice::Equivocation { proposer, slot, roots, slashing }
        }
        Effect::Detection { on, skipped } => Notice::SlashingDetection { on, skipped },
        Effect::DoubleVote { validators, slashing } => Notice::DoubleVote { validators, slashing },
        Effect::SurroundVote { validators, slashing } => {
            Notice::SurroundVote { validators, slashing }
        }
        Effect::NotImported { root, refusal } => Notice::NotImported { root, refusal },
    })
}

#[cfg(test)]
mod tests {
    use super::{Chain, Material, Message, Ports, Request, Work, turn};
    use crate::clearance::{ChainView, Clearance, Event, Import};
    use crate::cold_db::Record;
    use crate::consensus::{Balances, Checkpoint, Consensus, IndexedVote, Slot};
    use crate::fork_choice::Config;
    use crate::gossip::{GossipVote, Operation};
    use crate::hot_db::{Prune, StateAt};
    use crate::identified;
    use crate::machine::Machine;
    use crate::notice::NoticeOf;
    use crate::rewinder::{Answer, Job, Lane};
    use crate::supervision::{Bare, Loss, Steps};
    use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyOperation, ToyState};
    use crate::verdict::Cleared;

    type Told = Message<Toy, (), (), (), ()>;

    const ANCHOR: Checkpoint<u8> = Checkpoint { epoch: 0, root: 0 };

    /// Ports that lead to a ColdDB and nowhere else.
    struct Recording;

    impl Ports<Toy> for Recording {
        type Receipt = ();
        type View = ();
        type Chain = ();
        type Candidates = ();
        type Slot = ();

        fn wants_detection(&self) -> bool {
            true
        }

        fn view(&mut self, (): (), _: ChainView<u8>) {}

        fn chain(&mut self, (): (), _: Chain<u8>) {}

        fn candidates(&mut self, (): (), _: Material<Toy>) {}

        fn prune(&mut self, _: Prune<u8>) {}

        fn reserve(&mut self) -> Option<()> {
            None
        }

        fn request(&mut self, (): (), _: Request<Toy>, _: Lane, _: Job<Toy>) {}

        fn keeps_records(&self) -> bool {
            true
        }

        fn tell(&mut self, _: NoticeOf<Toy>) {}

        fn taken(&mut self, (): (), _: Checkpoint<u8>) {}

        fn lost(&mut self, (): ()) {}
    }

    /// Loses every message that a step is about, as a panic before the step does.
    struct Losing;

    impl Steps for Losing {
        fn step<T>(&self, _: &'static str, _: impl FnOnce() -> T) -> Result<T, Loss> {
            Err(Loss::Message)
        }

        fn look<T>(&self, _: &'static str, _: impl FnOnce() -> T) -> Result<T, Loss> {
            Err(Loss::Message)
        }

        fn follow_up<T>(&self, _: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
            Ok(step())
        }
    }

    fn clearance() -> Clearance<Toy> {
        let balances = Balances { effective: [1; 4].into(), total_active: 4 };
        Clearance::new(Config::new(4), 0, 0, balances)
    }

    fn work(machine: &mut Clearance<Toy>, steps: &impl Steps, message: Told) -> Vec<Work<Toy, ()>> {
        turn(machine, &Toy::default(), steps, &mut Recording, message).expect("nothing is torn")
    }

    /// Returns what the ColdDB is given of an import, at most one record, beside the operations
    /// that prove what the detector has found.
    fn recorded(machine: &mut Clearance<Toy>, import: Import<Toy>) -> Option<Record<Toy>> {
        let mut records = all_recorded(machine, import);
        records.retain(|record| !matches!(record, Record::Operation { .. }));
        assert!(records.len() <= 1, "{records:?}");
        records.pop()
    }

    fn all_recorded(machine: &mut Clearance<Toy>, import: Import<Toy>) -> Vec<Record<Toy>> {
        let all = work(machine, &Bare, Told::Import { import, reply: () });
        let record = |work| match work {
            Work::Record(record) => Some(record),
            _ => None,
        };
        all.into_iter().filter_map(record).collect()
    }

    fn block(root: u8, parent: u8, slot: Slot) -> Import<Toy> {
        block_with(root, parent, slot, &[])
    }

    /// A block whose slashings prove that these validators have equivocated.
    fn block_with(root: u8, parent: u8, slot: Slot, equivocating: &[u64]) -> Import<Toy> {
        let (toy, block) = (Toy::default(), ToyBlock::new(root, parent, slot));
        let mut effects = toy.block_effects(&ToyState::anchor(), &block).expect("it is valid");
        effects.equivocating = equivocating.to_vec();
        let block = Box::new(Cleared::new(identified::block(&toy, block), effects));
        Import::Block { block, timely: false }
    }

    /// An attestation for a block, as it comes without a proof and from its subnet.
    fn votes(head: u8) -> [Import<Toy>; 2] {
        let toy = Toy::default();
        let one =
            ToyAttestation { id: 9, slot: 1, head, target: ANCHOR, validator: 1, valid: true };
        let indexed = IndexedVote { vote: toy.vote(&one), indices: vec![1] };
        let single = GossipVote::Single { attestation: one, subnet: 1 };
        let attestation = Cleared::new(identified::attestation(&toy, one), indexed.clone());
        let vote = Cleared::new(identified::gossip_vote(&toy, single), indexed);
        [Import::Attestation(Box::new(attestation)), Import::Vote(Box::new(vote))]
    }

    #[test]
    fn what_the_fork_choice_does_not_have_is_not_recorded() {
        // Blocks on the anchor and on an unknown block, and votes for the first and for the other.
        let mut machine = clearance();
        let tick = Import::Tick { slot: 3 };
        assert_eq!(recorded(&mut machine, tick), Some(Record::Tick { slot: 3 }));
        assert!(matches!(recorded(&mut machine, block(1, 0, 1)), Some(Record::Block { .. })));
        assert_eq!(recorded(&mut machine, block(2, 77, 2)), None);
        for (head, is_recorded) in [(1, true), (2, false)] {
            for vote in votes(head) {
                let record = recorded(&mut machine, vote);
                assert_eq!(record.is_some(), is_recorded, "{record:?}");
            }
        }
    }

    #[test]
    fn what_the_slashings_of_a_block_prove_is_recorded_once_wherever_the_block_stands() {
        // On an unknown block, on the anchor, and again, with one more validator. The first two are
        // of one proposer and slot.
        let mut machine = clearance();
        recorded(&mut machine, Import::Tick { slot: 3 });
        let mut words = |block| -> Vec<String> {
            let word = |record| match record {
                Record::Equivocation { indices } => format!("{indices:?}"),
                Record::Operation { operation, .. } => operation.kind().word().to_owned(),
                _ => "block".to_owned(),
            };
            all_recorded(&mut machine, block).into_iter().map(word).collect()
        };
        assert_eq!(words(block_with(1, 77, 1, &[1, 2])), ["[1, 2]"]);
        assert_eq!(words(block_with(2, 0, 1, &[1, 2])), ["block", "proposer slashing"]);
        assert_eq!(words(block_with(3, 0, 2, &[2, 3])), ["[2, 3]", "block"]);
        assert_eq!(
            [0, 1, 3].map(|index| machine.fork_choice().has_equivocated(index)),
            [false, true, true]
        );
    }

    #[test]
    fn operations_are_recorded_when_the_pool_takes_them_and_when_it_drops_them() {
        // An exit, and another one of the same validator; then both are spent.
        let mut machine = clearance();
        let exit = |id| {
            Operation::VoluntaryExit(ToyOperation { id, validators: 2, signed: true, valid: true })
        };
        let import = |id| {
            let item = identified::operation(&Toy::default(), exit(id));
            Import::Operation(Box::new(Cleared::new(item, vec![1])))
        };
        let expected = Record::Operation { operation: exit(7), validators: vec![1] };
        assert_eq!(all_recorded(&mut machine, import(7)), [expected]);
        assert_eq!(all_recorded(&mut machine, import(8)), []);
        let spent = |machine: &mut Clearance<Toy>, steps: bool| {
            let message = Told::Spent(vec![exit(7), exit(8)]);
            if steps { work(machine, &Bare, message) } else { work(machine, &Losing, message) }
        };
        // A panic loses what is spent, and the pool holds the exit.
        assert_eq!(spent(&mut machine, false), []);
        let expected = Record::Spent { operations: vec![exit(7), exit(8)] };
        assert_eq!(spent(&mut machine, true), [Work::Record(expected)]);
        assert!(!machine.holds(&exit(7)));
    }

    #[test]
    fn what_proves_two_votes_of_a_validator_is_recorded_beside_the_second() {
        // Votes for the anchor and for the block on it.
        let mut machine = clearance();
        recorded(&mut machine, Import::Tick { slot: 3 });
        recorded(&mut machine, block(1, 0, 1));
        let [_, first] = votes(0);
        let [_, second] = votes(1);
        assert!(matches!(all_recorded(&mut machine, first)[..], [Record::Attestation { .. }]));
        let records = all_recorded(&mut machine, second);
        let [Record::Attestation { .. }, Record::Operation { operation, validators }] =
            &records[..]
        else {
            panic!("{records:?}")
        };
        assert_eq!((operation.kind().word(), &validators[..]), ("attester slashing", &[1][..]));
        assert!(machine.holds(operation));
    }

    #[test]
    fn a_message_that_a_panic_takes_leaves_the_machine_waiting_for_nothing() {
        // A tick, balances and spent operations are lost. The time is told all the same, and the
        // machine asks for the balances again.
        let (toy, mut machine) = (Toy::default(), clearance());
        let tick = |slot| Told::Import { import: Import::Tick { slot }, reply: () };
        assert!(work(&mut machine, &Losing, tick(3)).contains(&Work::Taken(())));
        assert_eq!(machine.fork_choice().slot(), 3);
        let mut told = machine.clone();
        told.handle(&toy, Event::Balances { checkpoint: ANCHOR, balances: None });
        let balances = toy.balances(&ToyState::anchor()).ok();
        work(&mut machine, &Losing, Told::Balances { checkpoint: ANCHOR, balances });
        assert_eq!(machine, told);
        assert_eq!(work(&mut machine, &Losing, Told::Spent(Vec::new())), []);
    }

    #[test]
    fn a_state_answers_which_operations_are_spent_in_it() {
        // Of exits 7 and 8 the state of block 7 has taken in the first. Without a state none is
        // spent.
        let exits = [7, 8].map(|id| {
            Operation::VoluntaryExit(ToyOperation { id, validators: 1, signed: true, valid: true })
        });
        let ask = |answer| Told::reply(&Toy::default(), Request::Spent(exits.to_vec()), answer);
        let state = ToyState { block: 7, ..ToyState::anchor() };
        let at = StateAt { root: 7, slot: 0, state };
        assert_eq!(ask(Answer::State(at)), Told::Spent(vec![exits[0].clone()]));
        assert_eq!(ask(Answer::Busy), Told::Spent(Vec::new()));
    }
}
