//! The attacks by name.

use std::fmt;
use std::str::FromStr;

/// An attack, or another row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// Blocks with a known parent and a junk signature. The attacker has no key.
    A1,
    /// Forged attestations to the newest head. The attacker has no key.
    A2,
    /// Equivocations of one proposer. The attacker has that proposer's key.
    A3,
    /// Forged attestations to old heads of a long chain. The attacker has no key.
    A4,
    /// A chain in reverse that is longer than the peer's quota. The attacker has no key: it relays.
    A5,
    /// Orphans of one root, then finality, then the stop. The attacker has no key.
    A6,
    /// Blocks at or before the finalised slot. The attacker has no key: it may just be late.
    A7,
    /// Sums of honest votes, and a second vote. The attacker has one validator's key, or none.
    A8,
    /// The same item again and again. The attacker has no key.
    A9,
    /// Forged attestations in batches and alone. The attacker has no key.
    A10,
    /// Orphans while the node does not read its notices. The attacker has no key.
    A11,
    /// States, blocks and ticks of a far slot. The attacker has no key, but may ask for states.
    A12,
    /// Blocks without finality, in the fork choice alone. Nobody attacks.
    A13,
    /// A clock that steps back, and followers of held items. The attacker has no key.
    A14,
    /// Honest blocks and votes through the services, and by direct calls. Nobody attacks.
    Pipeline,
}

impl Attack {
    /// Every attack, in the order of the table.
    pub const ALL: [Self; 15] = [
        Self::A1,
        Self::A2,
        Self::A3,
        Self::A4,
        Self::A5,
        Self::A6,
        Self::A7,
        Self::A8,
        Self::A9,
        Self::A10,
        Self::A11,
        Self::A12,
        Self::A13,
        Self::A14,
        Self::Pipeline,
    ];

    /// Returns its name, as in the command line and in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A1 => "A1",
            Self::A2 => "A2",
            Self::A3 => "A3",
            Self::A4 => "A4",
            Self::A5 => "A5",
            Self::A6 => "A6",
            Self::A7 => "A7",
            Self::A8 => "A8",
            Self::A9 => "A9",
            Self::A10 => "A10",
            Self::A11 => "A11",
            Self::A12 => "A12",
            Self::A13 => "A13",
            Self::A14 => "A14",
            Self::Pipeline => "pipeline",
        }
    }

    /// Returns what `n` counts.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::A1 => "blocks with a known parent and a junk signature",
            Self::A2 => "forged attestations to the newest head",
            Self::A3 => "equivocations of one proposer, with its key",
            Self::A4 => "forged attestations to old heads of a long chain",
            Self::A5 => "blocks of a reverse chain, one more than the peer's quota",
            Self::A6 => "orphans of one root, before finality and before the stop",
            Self::A7 => "blocks at or before the finalised slot",
            Self::A8 => "sums of honest votes, and second votes of one validator",
            Self::A9 => "copies: of a good block badly signed, a bad block, a forged attestation",
            Self::A10 => "forged attestations that come together",
            Self::A11 => "orphans of as many roots while nobody reads the notices",
            Self::A12 => "states and blocks of a far slot, and one wrong tick",
            Self::A13 => "blocks without finality, in the fork choice alone",
            Self::A14 => "blocks released and parked by the clock, and followers of an orphan",
            Self::Pipeline => "honest slots through the services, and by direct calls",
        }
    }

    /// Returns the sizes at which it is run by default, in ascending order.
    #[must_use]
    pub fn sizes(self) -> &'static [u64] {
        match self {
            // Without neighbours of a hundred and more slots there is nothing to see.
            Self::A13 => &[256, 1024, 4096, 16_384],
            Self::Pipeline => &[64, 256],
            _ => &[64, 256, 1024],
        }
    }

    /// Returns whether the number of peers makes a difference, so that every number is a row.
    #[must_use]
    pub fn is_by_peers(self) -> bool {
        matches!(self, Self::A1 | Self::A2 | Self::A9)
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Attack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |attack: &&Self| attack.name().eq_ignore_ascii_case(text);
        Self::ALL
            .iter()
            .find(named)
            .copied()
            .ok_or_else(|| "no such attack: there are A1 to A14, and pipeline".to_owned())
    }
}
