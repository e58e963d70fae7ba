//! The hazards: what may go wrong in the protocols, and what the design does instead.
//!
//! **Contract.** A [`Hazard`] is one row, and each row is one static of this module, named by its
//! id. Scenarios, twins, configurations and checks refer to a row by its path
//! (`Some(&hazard::N1)`), so that a hazard without a row does not compile. [`all`] lists the rows
//! in the order of the document that is generated from them.
//!
//! | letter | family |
//! |---|---|
//! | N | event notifier and sleeping |
//! | M | channels |
//! | B | broker |
//! | L | life cycle and supervision |
//! | R | Rewinder and HotDB |
//! | Q | Quarantine |
//! | S | durable store |
//! | V | validator duties |
//! | D | lists of validator duties |
//! | P | when a validator's messages leave |
//! | E | the execution layer's chain |
//! | C | faults that real clients have shipped |
//! | A | attacks |
//! | `engine` | what an engine must see |

mod channels;
mod clients;
mod duties;
mod eth1;
mod services;
mod store;
mod waiting;

pub use channels::rows::*;
pub use clients::rows::*;
pub use duties::rows::*;
pub use eth1::rows::*;
pub use services::rows::*;
pub use store::rows::*;
pub use waiting::rows::*;

/// Something that goes wrong, and what the design does instead.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Hazard {
    /// A letter for the family and a number. No other hazard has the same id.
    pub id: &'static str,
    /// What goes wrong, as a sentence without its full stop.
    pub fault: &'static str,
    /// What the design does instead, as a sentence without its full stop.
    pub instead: &'static str,
}

/// Defines one static for each row, and `ROWS`, which lists them all.
macro_rules! hazards {
    ($($id:ident: $fault:literal, $instead:literal;)+) => {
        pub(super) mod rows {
            use crate::hazard::Hazard;
            $(
                #[doc = concat!($fault, ".")]
                pub static $id: Hazard =
                    Hazard { id: stringify!($id), fault: $fault, instead: $instead };
            )+
        }

        pub(super) const ROWS: &[&crate::hazard::Hazard] = &[$(&rows::$id),+];
    };
}

use hazards;

/// The hazard of the engines' own twins. They show that an engine sees what it is meant to see.
pub static ENGINE: Hazard = Hazard {
    id: "engine",
    fault: "An engine leaves out an order of events, or lets a broken property pass",
    instead: "Small programs that are wrong on purpose show that the engine finds the order",
};

/// Returns every row: family by family, and within a family in the order of the numbers.
pub fn all() -> impl Iterator<Item = &'static Hazard> {
    let families = [waiting::ROWS, channels::ROWS, services::ROWS, store::ROWS];
    families
        .into_iter()
        .chain([duties::ROWS, eth1::ROWS, clients::ROWS])
        .flatten()
        .copied()
        .chain([&ENGINE])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::all;

    #[test]
    fn a_row_has_its_own_id_and_two_sentences() {
        // Reads every row. Ids are unique. Sentences begin with a capital letter, and leave the
        // full stop to the code that prints the row.
        let mut ids = BTreeSet::new();
        for row in all() {
            assert!(ids.insert(row.id), "{} is there twice", row.id);
            for text in [row.fault, row.instead] {
                assert!(text.starts_with(|first: char| first.is_uppercase()), "{}: {text}", row.id);
                assert!(!text.ends_with('.') && !text.contains(". "), "{}: {text}", row.id);
            }
        }
    }

    #[test]
    fn the_numbers_of_a_family_have_no_gap() {
        // The broker's numbers have gaps: the other numbers are faults of machines, which have unit
        // tests.
        let of = |letter: &str| {
            let numbers = all().filter_map(|row| row.id.strip_prefix(letter)?.parse().ok());
            numbers.collect::<Vec<u32>>()
        };
        let families =
            [("N", 15), ("M", 17), ("L", 6), ("R", 14), ("Q", 11), ("S", 6), ("V", 11), ("D", 5)];
        for (letter, last) in families.into_iter().chain([("P", 8), ("E", 6), ("C", 15), ("A", 20)])
        {
            assert_eq!(of(letter), (1..=last).collect::<Vec<_>>(), "{letter}");
        }
    }
}
