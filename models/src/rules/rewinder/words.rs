//! Steps and states of the instances in words: for counterexamples.

use blocksmith_engines::counterexample::Stand;

use super::model::{Action, Ask, Process, Rewinder, State};
use crate::composition::words::{worker_event, worker_words};

impl Rewinder {
    /// Returns the process that takes a step, and what it does.
    pub(super) fn tell(&self, state: &State, action: Action) -> (String, String) {
        let worker_name = |worker| format!("worker {worker}");
        match action {
            Action::Submit(task) => ("clients".to_owned(), format!("submit {}", self.task(task))),
            Action::Work(worker) => {
                let process = &state.workers[worker];
                let does = match (&process.next, process.busy) {
                    (Some(event), true) => format!("takes {}", worker_event(event)),
                    _ if !process.given.is_empty() => "takes what it was given".to_owned(),
                    _ => {
                        let tasks = self.would_pull(state, worker);
                        let words: Vec<_> = tasks.into_iter().map(|it| self.task(it)).collect();
                        format!("pulls {}", words.join(" and "))
                    }
                };
                (worker_name(worker), does)
            }
            Action::Give(worker) => {
                ("lanes".to_owned(), format!("give the oldest task to worker {worker}"))
            }
            Action::LateCommit => {
                ("hot_db".to_owned(), "takes a commit that comes after its verdict".to_owned())
            }
            Action::Look => {
                ("clearance".to_owned(), "looks whether the oldest import is new".to_owned())
            }
            Action::Import => ("clearance".to_owned(), "takes the oldest import".to_owned()),
            Action::Prune => ("hot_db".to_owned(), "prunes, since finality has moved".to_owned()),
            Action::Stop => ("owner".to_owned(), "sends the stop".to_owned()),
            Action::Panic(worker) => (worker_name(worker), "panics".to_owned()),
        }
    }

    /// Returns a task in words.
    fn task(&self, task: usize) -> String {
        let Some((lane, ask, _)) = self.tasks.get(task) else { return format!("task {task}") };
        let words = match ask {
            Ask::Block(block) => {
                format!("block {} on {} at {}", block.root, block.parent, block.slot)
            }
            Ask::Vote(vote) => {
                format!("vote {} for target {} of {}", vote.id, vote.target.epoch, vote.target.root)
            }
            Ask::State(root, slot) => format!("the state of {root} at {slot}"),
        };
        format!("task {task} ({lane:?}: {words})")
    }

    /// Returns what the workers, the lanes and the rest hold.
    pub(super) fn held(&self, state: &State) -> Vec<(String, String)> {
        let workers = state.workers.iter().enumerate();
        let mut all: Vec<_> =
            workers.map(|(number, it)| (format!("worker {number}"), process_words(it))).collect();
        let log = &state.log;
        let waiting: Vec<_> = log.waiting.iter().map(|it| format!("task {}", it.task)).collect();
        all.push(("lanes".to_owned(), waiting.join(", ")));
        all.push(("imports".to_owned(), format!("{} on their way", state.imports.len())));
        let answers = log.answers.iter().enumerate().filter(|(_, words)| !words.is_empty());
        let answers = answers.map(|(task, words)| format!("task {task}: {}", words.join(", ")));
        all.push(("answers".to_owned(), answers.collect::<Vec<_>>().join("; ")));
        all.push(("states posted".to_owned(), format!("{:?}", log.posts)));
        all.push(("loading".to_owned(), format!("{:?}", log.loading)));
        all.push(("imported, how often".to_owned(), format!("{:?}", log.imported)));
        let figures = [
            ("slots run while a duty waits", log.duty_waits),
            ("votes verified while a block or duty waits", log.votes_first),
            ("votes verified since the stop", log.votes_after_stop),
        ];
        all.extend(figures.map(|(name, value)| (name.to_owned(), value.to_string())));
        all
    }

    /// Returns where the workers stand.
    pub(super) fn standing(&self, state: &State) -> Vec<Stand> {
        let stand = |(number, process): (usize, &Process)| {
            let stuck = process.busy && process.next.is_none();
            let others = (0..state.workers.len()).filter(|other| stuck && *other != number);
            Stand {
                process: format!("worker {number}"),
                what: process_words(process),
                waits_for: others.map(|other| format!("worker {other}")).collect(),
            }
        };
        state.workers.iter().enumerate().map(stand).collect()
    }
}

/// Says what a worker does, and what comes next.
fn process_words(process: &Process) -> String {
    let mut words = worker_words(process.hands.machine());
    if let Some(next) = &process.next {
        words = format!("{words}; next: {}", worker_event(next));
    } else if process.busy {
        words.push_str("; nothing comes");
    }
    if process.ran > 0 {
        words = format!("{words}; {} slots run", process.ran);
    }
    if !process.given.is_empty() {
        words = format!("{words}; {} tasks behind it", process.given.len());
    }
    words
}
