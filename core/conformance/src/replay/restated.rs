//! Where the rules say something else today than the recording does.
//!
//! | recorded | today | why |
//! |---|---|---|
//! | `invalid`, `not_after_finalized_slot` | `ignored`, the same reason | the gossip conditions IGNORE a block at or before the finalised slot: its sender may be an honest peer that is late |
//!
//! Nothing else of a recording is changed.

use blocksmith_node::recording::Expected;

/// Verdict and reason as recorded, and the verdict today.
const RESTATED: [(&str, &str, &str); 1] = [("invalid", "not_after_finalized_slot", "ignored")];

/// Applies the table to what is expected of one event.
pub(super) fn restate(expected: &mut Expected) {
    let Expected { verdict, reason, final_verdict, final_reason, .. } = expected;
    for (verdict, reason) in [(verdict, reason), (final_verdict, final_reason)] {
        let is_row = |row: &&(&str, &str, &str)| {
            verdict.as_deref() == Some(row.0) && reason.as_deref() == Some(row.1)
        };
        if let Some((_, _, today)) = RESTATED.iter().find(is_row) {
            *verdict = Some((*today).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, restate};

    #[test]
    fn one_expectation_is_restated_and_no_other() {
        // The row, the same verdict with another reason, and the reason with another verdict.
        for (verdict, reason, today) in [
            ("invalid", "not_after_finalized_slot", "ignored"),
            ("invalid", "bad_randao", "invalid"),
            ("pending", "not_after_finalized_slot", "pending"),
        ] {
            let (verdict, reason) = (Some(verdict.to_owned()), Some(reason.to_owned()));
            let (final_verdict, final_reason) = (verdict.clone(), reason.clone());
            let mut expected =
                Expected { verdict, reason, final_verdict, final_reason, ..Default::default() };
            restate(&mut expected);
            assert_eq!(expected.verdict.as_deref(), Some(today));
            assert_eq!(expected.final_verdict.as_deref(), Some(today));
        }
    }
}
