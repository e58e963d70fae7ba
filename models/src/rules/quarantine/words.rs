//! Steps and states of the instances in words: for counterexamples.

use super::model::{Action, Firewall, State};
use crate::composition::words::{item, job};

impl Firewall {
    /// Returns the process that takes a step, and what it does.
    pub(super) fn tell(&self, state: &State, action: Action) -> (String, String) {
        let (actor, does) = match action {
            Action::Submit(number) => {
                let handed = &self.palette[number];
                let words = item(&handed.item);
                ("network", format!("peer {} hands in item {number}: {words}", handed.peer))
            }
            Action::Answer(request) => {
                let words = state.checks.get(&request).map(job).unwrap_or_default();
                ("rewinder", format!("answers request {request}: {words}"))
            }
            Action::Import(request) => {
                ("clearance", format!("has taken in what request {request} was about"))
            }
            Action::Tick(slot) => ("clock", format!("says that it is slot {slot}")),
            Action::Payload(root) => ("network", format!("brings the payload of block {root}")),
            Action::Finalize => {
                let root = self.finality.map_or(0, |checkpoint| checkpoint.root);
                ("clearance", format!("says that block {root} is final"))
            }
            Action::Park => ("quarantine", "parks the vote that it had looked up".to_owned()),
        };
        (actor.to_owned(), does)
    }

    /// Returns what the machine and its surroundings hold.
    pub(super) fn held(&self, state: &State) -> Vec<(String, String)> {
        let list = |parts: Vec<String>| parts.join("; ");
        let pending = state.machine.pending();
        let pending = pending.iter().map(|(id, why)| format!("item {id}: {}", why.word()));
        let checks = state.checks.iter().map(|(request, it)| format!("{request}: {}", job(it)));
        let importing = state.importing.keys().map(|request| format!("request {request}"));
        let told = state.log.items.iter().enumerate().flat_map(|(number, history)| {
            let word = move |word: &super::model::Word| {
                format!("item {number}: {} ({})", word.class, word.reason)
            };
            history.verdicts.iter().map(word)
        });
        let checked = state.log.items.iter().enumerate().filter(|(_, it)| it.checks > 0);
        let checked = checked.map(|(number, it)| format!("item {number}: {}", it.checks));
        let asked = state.log.asked.iter();
        let asked =
            asked.map(|(root, (slot, times))| format!("{root}: since slot {slot}, {times} times"));
        let imported = state.log.imported.iter().map(ToString::to_string);
        let all = [
            ("quarantine", list(pending.collect())),
            ("rewinder", list(checks.collect())),
            ("clearance", list(importing.collect())),
            ("clock", format!("slot {}", state.slot)),
            ("verdicts", list(told.collect())),
            ("checks begun", list(checked.collect())),
            ("blocks asked for", list(asked.collect())),
            ("blocks imported", list(imported.collect())),
            ("finalized", format!("block {}", state.finalized.root)),
            ("port with the fault", format!("{:?}", state.front)),
        ];
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
