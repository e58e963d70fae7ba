//! Steps and states of the instances in words: for counterexamples.

use blocksmith::beacon_validator::Request;
use blocksmith::beacon_validator::toy::ToyDuties;

use super::model::{Action, State, Validators};

impl Validators {
    /// Returns the process that takes a step, and what it does.
    pub(super) fn tell(&self, state: &State, action: Action) -> (String, String) {
        let request = |process: usize, id| {
            let asked = state.processes[process].asked.get(&id);
            asked.map_or_else(|| format!("request {id}"), |it| words(&it.request))
        };
        let of = |process: usize, id| {
            let asked = state.processes[process].asked.get(&id).map(|it| &it.request);
            match asked {
                Some(Request::Sign { .. }) => "signer".to_owned(),
                Some(Request::Protect(_)) => "protection".to_owned(),
                _ => format!("node {process}"),
            }
        };
        let process_name = |process| format!("process {process}");
        match action {
            Action::Answer(process, id) => {
                (of(process, id), format!("answers {}", request(process, id)))
            }
            Action::Fail(process, id) => {
                (of(process, id), format!("fails {}", request(process, id)))
            }
            Action::Repeat(process, id) => {
                (of(process, id), format!("answers request {id} a second time"))
            }
            Action::Lie(process, id, lie) => {
                (of(process, id), format!("lies ({lie:?}) about {}", request(process, id)))
            }
            Action::Lose(process, id) => {
                let words = request(process, id);
                (of(process, id), format!("carries out {words}, and the answer is lost"))
            }
            Action::Learn(process) => {
                (process_name(process), "learns of a further validator".to_owned())
            }
            Action::Panic(process) => {
                (process_name(process), "panics, and has a successor".to_owned())
            }
            Action::Tick => {
                let now = self.clock.get(state.ticks).copied().unwrap_or(state.now);
                ("clock".to_owned(), format!("says {now} ms"))
            }
            Action::Switch(process) => {
                (format!("node {process}"), "takes the other branch for its head".to_owned())
            }
            Action::Restart(process) => (process_name(process), "restarts".to_owned()),
            Action::CarryOut(number) => {
                let words = state.orphans.get(number).map(words).unwrap_or_default();
                let who = match state.orphans.get(number) {
                    Some(Request::Protect(_)) => "protection",
                    _ => "signer",
                };
                (who.to_owned(), format!("carries out {words} of a process that is gone"))
            }
            Action::Record(process, id) => {
                ("protection".to_owned(), format!("records {}", request(process, id)))
            }
            Action::RecordLate => {
                ("protection".to_owned(), "records a signature that has left".to_owned())
            }
        }
    }

    /// Returns what the processes and their surroundings hold.
    pub(super) fn held(&self, state: &State) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (number, process) in state.processes.iter().enumerate() {
            let asked = process.asked.iter();
            let asked: Vec<_> =
                asked.map(|(id, it)| format!("{id}: {}", words(&it.request))).collect();
            all.push((format!("process {number}"), format!("waits for [{}]", asked.join("; "))));
            let duties = process.duties.iter();
            let duties: Vec<_> = duties.map(|(duty, it)| format!("{duty:?}: {it:?}")).collect();
            all.push((format!("duties of process {number}"), duties.join("; ")));
            all.push((format!("node {number}"), format!("branch {}", process.branch)));
        }
        all.push(("protection".to_owned(), format!("{:?}", state.record)));
        all.push(("messages that have left".to_owned(), format!("{:?}", state.left)));
        let orphans: Vec<_> = state.orphans.iter().map(words).collect();
        all.push(("requests of processes that are gone".to_owned(), orphans.join("; ")));
        all.push(("signatures not recorded".to_owned(), format!("{:?}", state.unrecorded)));
        all.push(("signatures in a channel".to_owned(), format!("{:?}", state.stale)));
        all
    }
}

/// Returns a request in words.
fn words(request: &Request<ToyDuties>) -> String {
    format!("{request:?}")
}
