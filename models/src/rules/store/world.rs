//! The machines of the services without threads, and the ports of their shells.

use std::collections::VecDeque;

use blocksmith::clearance::shell::{self as clearance_shell, Chain, Request};
use blocksmith::clearance::{ChainView, Clearance, Import, Material};
use blocksmith::cold_db::shell as cold_shell;
use blocksmith::cold_db::{ColdDb, Record};
use blocksmith::consensus::{Checkpoint, Consensus, Epoch, Slot, UpdateFlags};
use blocksmith::hot_db::{
    CommitReply, CommitteesAt, Effect as HotEffect, Event as HotEvent, HotDb, Prune, StateAt,
    TrailReply,
};
use blocksmith::identified::{self, IdentifiedBlock};
use blocksmith::machine::Machine;
use blocksmith::notice::{Notice, NoticeOf};
use blocksmith::rewinder::shell::{Hands, Ports, Task};
use blocksmith::rewinder::{Answer, GoesFirst, Job, Lane, StateKey, WorkerEvent};
use blocksmith::store::{StoreError, Write};
use blocksmith::supervision::Bare;
use blocksmith::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use blocksmith::verdict::ClearedBlock;

use super::model::Durable;

pub(super) type ToCold = cold_shell::Message<Toy>;
type ToClearance = clearance_shell::Message<Toy, (), (), (), ()>;

/// The machines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Machines {
    pub(super) clearance: Clearance<Toy>,
    pub(super) hot_db: HotDb<Toy>,
    pub(super) cold_db: ColdDb<Toy>,
}

/// What the machines are connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outside {
    /// The writes that are durable.
    pub(super) log: Vec<Write<Toy>>,
    /// The epoch of the last finality that was acknowledged.
    pub(super) acknowledged: Epoch,
    /// The state that the ColdDB has asked for.
    pub(super) asked: Option<(ToyRoot, Slot)>,
    /// Whether the disk is full for the next commit, and whether it has been.
    pub(super) full: bool,
    pub(super) was_full: bool,
}

/// The ports of Clearance and of the ColdDB in one step.
pub(super) struct Ends<'a> {
    model: &'a Durable,
    outside: &'a mut Outside,
    to_cold: VecDeque<ToCold>,
    to_hot: Vec<Prune<ToyRoot>>,
    balances: Option<Checkpoint<ToyRoot>>,
}

impl<'a> Ends<'a> {
    fn new(model: &'a Durable, outside: &'a mut Outside) -> Self {
        let (to_cold, to_hot) = (VecDeque::new(), Vec::new());
        Self { model, outside, to_cold, to_hot, balances: None }
    }
}

impl Machines {
    /// Has a worker check a block, as the Rewinder does, and commit it. Returns it if it is
    /// cleared.
    pub(super) fn clear(&mut self, toy: &Toy, block: ToyBlock) -> Option<Box<ClearedBlock<Toy>>> {
        if self.hot_db.contains(block.root) {
            return None;
        }
        let job = Job::Block(identified::block(toy, block));
        let task = Task::new(toy, job.lane(), job, ()).ok()?;
        let mut ends = WorkerEnds { hot_db: &mut self.hot_db, toy, cleared: None };
        Hands::default().serve(toy, &Bare, &mut ends, vec![task]);
        ends.cleared
    }

    /// Lets Clearance take something in, and the HotDB and the ColdDB what follows from it.
    pub(super) fn import(&mut self, model: &Durable, outside: &mut Outside, import: Import<Toy>) {
        self.turn(model, outside, ToClearance::Import { import, reply: () });
    }

    fn turn(&mut self, model: &Durable, outside: &mut Outside, message: ToClearance) {
        let toy = &model.toy;
        let mut ends = Ends::new(model, outside);
        let clearance = &mut self.clearance;
        let work = clearance_shell::turn(clearance, toy, &Bare, &mut ends, message);
        for piece in work.expect("nothing panics here") {
            let done = clearance_shell::carry_out(clearance, toy, &Bare, &mut ends, piece);
            done.expect("nothing panics here");
        }
        let Ends { to_cold, to_hot, balances, .. } = ends;
        for keep in to_hot {
            self.hot_db.handle(toy, HotEvent::Prune(keep));
        }
        to_cold.into_iter().for_each(|message| self.tell_cold(model, outside, message));
        if let Some(checkpoint) = balances {
            let state = self.state_of(toy, checkpoint.root, toy.start_slot(checkpoint.epoch));
            let balances = state.and_then(|state| toy.balances(&state).ok());
            self.turn(model, outside, ToClearance::Balances { checkpoint, balances });
        }
    }

    pub(super) fn tell_cold(&mut self, model: &Durable, outside: &mut Outside, message: ToCold) {
        let mut ends = Ends::new(model, outside);
        let turn = cold_shell::turn(&mut self.cold_db, &model.toy, &Bare, &mut ends, message);
        turn.expect("nothing panics here");
    }

    pub(super) fn flush(&mut self, model: &Durable, outside: &mut Outside) {
        let mut ends = Ends::new(model, outside);
        let flush = cold_shell::flush(&mut self.cold_db, &model.toy, &Bare, &mut ends);
        flush.expect("nothing panics here");
    }

    /// Returns the state of a block, advanced to a slot, or its own if that slot is past.
    pub(super) fn state_of(&self, toy: &Toy, root: ToyRoot, slot: Slot) -> Option<ToyState> {
        let slot = match self.hot_db.trail(root, slot) {
            TrailReply::BeforeBlock { block_slot } => block_slot,
            _ => slot,
        };
        let TrailReply::Trail(trail) = self.hot_db.trail(root, slot) else { return None };
        let mut state = trail.start.state;
        for block in &trail.blocks {
            toy.transition(&mut state, block.item(), UpdateFlags::replay()).ok()?;
        }
        toy.advance(&mut state, slot).ok()?;
        Some(state)
    }
}

impl clearance_shell::Ports<Toy> for Ends<'_> {
    type Receipt = ();
    type View = ();
    type Chain = ();
    type Candidates = ();
    type Slot = ();

    fn wants_detection(&self) -> bool {
        true
    }

    fn view(&mut self, (): (), _: ChainView<ToyRoot>) {}

    fn chain(&mut self, (): (), _: Chain<ToyRoot>) {}

    fn candidates(&mut self, (): (), _: Material<Toy>) {}

    fn prune(&mut self, keep: Prune<ToyRoot>) {
        self.to_hot.push(keep);
    }

    fn reserve(&mut self) -> Option<()> {
        Some(())
    }

    fn request(&mut self, (): (), request: Request<Toy>, _: Lane, _: Job<Toy>) {
        // Nothing here is an operation, so none is asked about.
        if let Request::Balances(checkpoint) = request {
            self.balances = Some(checkpoint);
        }
    }

    fn keeps_records(&self) -> bool {
        true
    }

    fn record(&mut self, record: Record<Toy>) {
        self.to_cold.push_back(ToCold::Record(record));
    }

    fn finalized(&mut self, checkpoint: Checkpoint<ToyRoot>) {
        self.to_cold.push_back(ToCold::Finalized(checkpoint));
    }

    fn tell(&mut self, _: NoticeOf<Toy>) {}

    fn taken(&mut self, (): (), _: Checkpoint<ToyRoot>) {}

    fn lost(&mut self, (): ()) {}
}

impl cold_shell::Ports<Toy> for Ends<'_> {
    fn commit(&mut self, writes: &[Write<Toy>]) -> Result<(), StoreError> {
        let outside = &mut *self.outside;
        if std::mem::take(&mut outside.full) {
            return self.model.refused();
        }
        outside.log.extend(self.model.as_written(writes.to_vec()));
        Ok(())
    }

    fn ask_state(&mut self, root: ToyRoot, slot: Slot) {
        self.outside.asked = Some((root, slot));
    }

    fn tell(&mut self, notice: NoticeOf<Toy>) {
        if let Notice::Durable(checkpoint) = notice {
            self.outside.acknowledged = checkpoint.epoch;
        }
    }
}

/// The ports of a worker that serves one block.
struct WorkerEnds<'a> {
    hot_db: &'a mut HotDb<Toy>,
    toy: &'a Toy,
    cleared: Option<Box<ClearedBlock<Toy>>>,
}

impl WorkerEnds<'_> {
    fn ask(&mut self, event: HotEvent<Toy>) -> Option<WorkerEvent<Toy>> {
        let effects = self.hot_db.handle(self.toy, event);
        effects.into_iter().next().map(|effect| match effect {
            HotEffect::Trail(reply) => WorkerEvent::Trail(reply),
            HotEffect::Committed(reply) => WorkerEvent::Committed(reply),
        })
    }
}

impl Ports<Toy> for WorkerEnds<'_> {
    type Reply = ();

    fn trail(&mut self, root: ToyRoot, slot: Slot) -> Option<WorkerEvent<Toy>> {
        self.ask(HotEvent::Trail { root, slot })
    }

    fn committees(&mut self, target: Checkpoint<ToyRoot>) -> Option<WorkerEvent<Toy>> {
        self.ask(HotEvent::Committees { target })
    }

    fn commit(
        &mut self,
        block: IdentifiedBlock<Toy>,
        state: StateAt<Toy>,
    ) -> Option<WorkerEvent<Toy>> {
        let reply = self.ask(HotEvent::Commit { block, state });
        debug_assert_ne!(reply, Some(WorkerEvent::Committed(CommitReply::Full)), "there is room");
        reply
    }

    fn post_state(&mut self, state: StateAt<Toy>) {
        self.ask(HotEvent::PostState(state));
    }

    fn post_committees(&mut self, at: CommitteesAt<Toy>) {
        self.ask(HotEvent::PostCommittees(at));
    }

    fn claim(&mut self, _: StateKey<ToyRoot>) -> bool {
        true
    }

    fn requeue(&mut self, _: Vec<Task<Toy, ()>>, _: StateKey<ToyRoot>) {}

    fn give_way(&mut self, _: GoesFirst) -> bool {
        true
    }

    fn loaded(&mut self, _: StateKey<ToyRoot>) {}

    fn answer(&mut self, (): (), answer: Answer<Toy>) {
        if let Answer::Block(block) = answer {
            self.cleared = Some(block);
        }
    }
}
