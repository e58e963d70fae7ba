//! The threads of the services: their numbers, their lives, and the order in which they begin and
//! end.

use std::collections::BTreeMap;

use blocksmith::trace::Step;

use super::{Lost, Outcome, Rule, Told, ensure};

/// The services, from the bottom up, in the order of starting.
const FROM_THE_BOTTOM: [&str; 5] = ["cold_db", "hot_db", "rewinder", "clearance", "quarantine"];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Thread {
    next: u64,
    life: u64,
    has_ended: bool,
}

/// The threads of one start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Threads(BTreeMap<(usize, u64), Thread>);

/// Which services have threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) quarantine: bool,
    pub(crate) clearance: bool,
    pub(crate) rewinder: bool,
    pub(crate) hot_db: bool,
}

impl Threads {
    pub(crate) fn step(&mut self, step: &Step, told: &Told<'_>) -> Outcome {
        let place = FROM_THE_BOTTOM.iter().position(|service| *service == step.service);
        let Some(place) = place else { return super::words::unknown(&step.service) };
        let begins = told.event.verb == "begin";
        let key = (place, step.thread);
        ensure(begins != self.0.contains_key(&key), Rule::Lifecycle, || {
            let wrong = if begins { "begins twice" } else { "has not begun" };
            format!("{} {} {wrong}", step.service, step.thread)
        })?;
        if begins {
            let above = self.0.keys().any(|(other, _)| *other > place);
            ensure(!above, Rule::Lifecycle, || {
                format!("{} begins after what is above it", step.service)
            })?;
        }
        let thread = self.0.entry(key).or_default();
        ensure(!thread.has_ended, Rule::Lifecycle, || {
            format!("{} {} goes on after its end", step.service, step.thread)
        })?;
        ensure((step.number, step.life) == (thread.next, thread.life), Rule::Numbers, || {
            let (number, life) = (thread.next, thread.life);
            format!(
                "step {} of life {}, where step {number} of life {life} is next",
                step.number, step.life
            )
        })?;
        thread.next += 1;
        thread.life += u64::from(told.lost == Lost::Machine);
        if told.event.verb == "end" {
            thread.has_ended = true;
            let was_lost = thread.life > 0;
            self.ends(place, was_lost)?;
        }
        Ok(())
    }

    /// A service ends once what closes it has ended, or once its own machine is lost.
    fn ends(&self, place: usize, was_lost: bool) -> Outcome {
        // Clearance closes the ColdDB and the Rewinder, and the last worker closes the HotDB.
        let closer = [3, 2, 3, 4, 5][place];
        let open = self.0.iter().find(|((other, _), thread)| *other == closer && !thread.has_ended);
        ensure(open.is_none() || was_lost, Rule::Lifecycle, || {
            let closer = FROM_THE_BOTTOM.get(closer).unwrap_or(&"");
            format!("{} ends before {closer}", FROM_THE_BOTTOM[place])
        })
    }

    /// Returns a thread that has begun and not ended.
    pub(crate) fn open(&self) -> Option<String> {
        let open = self.0.iter().find(|(_, thread)| !thread.has_ended);
        open.map(|((place, number), _)| format!("{} {number}", FROM_THE_BOTTOM[*place]))
    }

    pub(crate) fn present(&self) -> Present {
        let has = |place: usize| self.0.range((place, 0)..(place + 1, 0)).next().is_some();
        Present { quarantine: has(4), clearance: has(3), rewinder: has(2), hot_db: has(1) }
    }
}
