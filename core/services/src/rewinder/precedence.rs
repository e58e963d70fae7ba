//! What goes before the work that a worker has in hand, where that can be interrupted.
//!
//! - W1 Between two parts of a load all duties that wait go first. Between two steps of a batch of
//!   votes they do, too, and then at most [`BLOCKS`] blocks, so that the votes move on. Duties are
//!   the node's own, not a peer's, so no bound is needed on them.
//! - W2 What goes first is interrupted itself only for lanes before its own. So interruptions are
//!   nested at most twice: a duty within a block within a batch of votes.
//! - W3 Nothing that goes first waits for what it interrupts. A batch of votes holds no claim any
//!   more, and a load's claims are passed over by the queue, or its own worker finds them claimed
//!   and puts the task back (hazard C8).
//! - W4 A worker that is reserved for duties is not interrupted.

use crate::consensus::Consensus;
use crate::rewinder::dispatcher::{Lane, Role};
use crate::rewinder::shell::{Lanes, Task};

/// Most blocks between two steps of a batch of votes.
pub(super) const BLOCKS: usize = 4;

/// The lanes that go first at some place: the first few of [`Lane::ALL`]. The smaller of two is
/// what both allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GoesFirst {
    /// No lane.
    Nothing,
    /// Duties.
    Duties,
    /// Duties, then blocks.
    Blocks,
}

impl GoesFirst {
    /// Returns what may interrupt a worker that has pulled from the queue (W4).
    #[must_use]
    pub fn of_role(role: Role) -> Self {
        match role {
            Role::General => Self::Blocks,
            Role::Reserved => Self::Nothing,
        }
    }

    /// Returns what may interrupt a task of `lane` that has gone first itself (W2).
    #[must_use]
    pub fn before(lane: Lane) -> Self {
        match lane {
            Lane::Duties => Self::Nothing,
            Lane::Blocks => Self::Duties,
            Lane::Attestations | Lane::Unproven | Lane::Queries => Self::Blocks,
        }
    }

    /// Returns the lanes, in the order of service.
    #[must_use]
    pub fn lanes(self) -> &'static [Lane] {
        match self {
            Self::Nothing => &[],
            Self::Duties => &Lane::ALL[..1],
            Self::Blocks => &Lane::ALL[..2],
        }
    }
}

/// One interruption: what goes first, and how many blocks have gone.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    first: GoesFirst,
    blocks: usize,
}

impl Pause {
    /// Begins an interruption at a place where `place` may go first, of a task for which `allowed`
    /// may.
    #[must_use]
    pub fn new(place: GoesFirst, allowed: GoesFirst) -> Self {
        Self { first: place.min(allowed), blocks: 0 }
    }

    /// Takes the task that is to be served next, if there is one (W1). With it comes what may
    /// interrupt that task.
    pub fn next<C: Consensus, R>(
        &mut self,
        lanes: &mut Lanes<C, R>,
    ) -> Option<(Task<C, R>, GoesFirst)> {
        let most = if self.blocks < BLOCKS { GoesFirst::Blocks } else { GoesFirst::Duties };
        let task = lanes.pull_first(self.first.min(most).lanes())?;
        self.blocks += usize::from(task.lane == Lane::Blocks);
        let allowed = GoesFirst::before(task.lane);
        Some((task, allowed))
    }
}
