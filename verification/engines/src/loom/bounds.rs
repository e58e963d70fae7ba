//! The bounds of an exploration by loom.

/// How far loom looks.
#[derive(Clone, Copy, Debug)]
pub struct LoomBounds {
    /// Switches away from a thread that could go on, per execution. Executions with fewer are
    /// explored in full, those with exactly this many in part. `None` means any number.
    pub preemptions: Option<usize>,
    /// Operations of one execution at which loom may branch.
    pub max_branches: usize,
    /// Time after which the verdict is `Truncated`.
    pub max_seconds: u64,
    /// One of this many first sleeps of an execution may end spuriously; 0 means none.
    pub spurious: u32,
    /// The same as `preemptions`, for the executions in which a sleep ends spuriously or the clock
    /// jumps.
    pub spurious_preemptions: Option<usize>,
    /// The clock may jump at one of this many first readings of an execution; 0 means at none. This
    /// costs nothing for code that never reads the clock.
    pub jumps: u32,
}

impl LoomBounds {
    /// Returns the usual bounds with this number of preemptions.
    #[must_use]
    pub const fn preemptions(preemptions: usize) -> Self {
        let preemptions = Some(preemptions);
        Self { preemptions, spurious_preemptions: preemptions, ..Self::unbounded() }
    }

    /// Returns bounds that limit neither preemptions nor, in practice, anything else.
    #[must_use]
    pub const fn unbounded() -> Self {
        Self {
            preemptions: None,
            max_branches: 20_000,
            max_seconds: 600,
            spurious: 0,
            spurious_preemptions: None,
            jumps: 4,
        }
    }
}
