//! A schedule of shuttle as data: it is written down while it runs, and followed again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

/// What a scheduler has chosen in one execution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Picks {
    /// The thread that goes next, at each turn.
    pub(super) tasks: Vec<usize>,
    /// The free choices, in the order in which they were made.
    pub(super) data: Vec<u64>,
}

impl Picks {
    /// Returns the choices as text: threads, where `3*4` is four turns of thread 3; a stroke; and
    /// the free choices in hexadecimal digits.
    pub(super) fn text(&self) -> String {
        let turns = self.tasks.chunk_by(|one, next| one == next);
        let turns = turns.map(|turns| match turns.len() {
            1 => turns[0].to_string(),
            count => format!("{}*{count}", turns[0]),
        });
        let data = self.data.iter().map(|data| format!("{data:x}"));
        let words: Vec<_> = turns.chain(["/".to_owned()]).chain(data).collect();
        words.join(" ")
    }

    /// Reads such a text. `None` if it is none, or if it has more than `most` turns.
    pub(super) fn read(text: &str, most: usize) -> Option<Self> {
        let (turns, data) = text.split_once('/')?;
        let mut tasks = Vec::new();
        for turn in turns.split_whitespace() {
            let (task, count) = turn.split_once('*').unwrap_or((turn, "1"));
            let count: usize = count.parse().ok()?;
            if count > most - tasks.len() {
                return None;
            }
            tasks.extend(std::iter::repeat_n(task.parse::<usize>().ok()?, count));
        }
        let data = data.split_whitespace().map(|data| u64::from_str_radix(data, 16).ok());
        Some(Self { tasks, data: data.collect::<Option<_>>()? })
    }

    /// Returns how often another thread goes next.
    pub(super) fn switches(&self) -> usize {
        self.tasks.windows(2).filter(|two| two[0] != two[1]).count()
    }

    /// Returns the choices with one change each that may make the execution smaller: turns in a row
    /// that are left out, or taken earlier, behind those of the same thread before them.
    pub(super) fn smaller(&self) -> impl Iterator<Item = Self> + '_ {
        let mut rows = Vec::new();
        for row in self.tasks.chunk_by(|one, next| one == next) {
            let start = rows.last().map_or(0, |(_, end)| *end);
            rows.push((start, start + row.len()));
        }
        rows.into_iter().flat_map(|(start, end)| {
            let without = || {
                let mut tasks = self.tasks.clone();
                tasks.drain(start..end);
                tasks
            };
            let task = self.tasks[start];
            let before = self.tasks[..start].iter().rposition(|other| *other == task);
            let moved = before.map(|before| {
                let mut tasks = without();
                tasks.splice(before + 1..before + 1, vec![task; end - start]);
                tasks
            });
            let data = self.data.clone();
            let with = move |tasks| Self { tasks, data: data.clone() };
            [Some(without()), moved].into_iter().flatten().map(with)
        })
    }
}

thread_local! {
    static PICKS: RefCell<Picks> = RefCell::default();
    static MISFITS: Cell<bool> = const { Cell::new(false) };
}

/// Returns what was chosen in the last execution on this thread, and whether a follower found that
/// its choices do not fit.
pub(super) fn last() -> (Picks, bool) {
    (PICKS.take(), MISFITS.take())
}

/// A scheduler whose choices are written down. It is forgotten instead of dropped: shuttle's random
/// one prints a page to stderr when it is dropped after a failure, and here failures of twins are
/// expected.
pub(super) struct Written(std::mem::ManuallyDrop<Box<dyn Scheduler>>);

impl Written {
    pub(super) fn new(scheduler: impl Scheduler + 'static) -> Self {
        Self(std::mem::ManuallyDrop::new(Box::new(scheduler)))
    }
}

impl Scheduler for Written {
    fn new_execution(&mut self) -> Option<Schedule> {
        PICKS.take();
        self.0.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let next = self.0.next_task(runnable, current, is_yielding)?;
        PICKS.with_borrow_mut(|picks| picks.tasks.push(next.into()));
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        let next = self.0.next_u64();
        PICKS.with_borrow_mut(|picks| picks.data.push(next));
        next
    }
}

/// A scheduler that makes recorded choices, in one execution. If it is not strict, it passes over a
/// turn of a thread that cannot go on, and makes up its own choices when there are none left.
pub(super) struct Follower {
    tasks: VecDeque<usize>,
    data: VecDeque<u64>,
    is_strict: bool,
    has_begun: bool,
}

impl Follower {
    pub(super) fn new(Picks { tasks, data }: Picks, is_strict: bool) -> Self {
        MISFITS.set(false);
        Self { tasks: tasks.into(), data: data.into(), is_strict, has_begun: false }
    }
}

impl Scheduler for Follower {
    fn new_execution(&mut self) -> Option<Schedule> {
        let first = !std::mem::replace(&mut self.has_begun, true);
        first.then(|| Schedule::new(0))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let can =
            |task: usize| runnable.iter().map(|it| it.id()).find(|it| usize::from(*it) == task);
        while let Some(task) = self.tasks.pop_front() {
            match can(task) {
                Some(task) => return Some(task),
                None if self.is_strict => {
                    MISFITS.set(true);
                    return None;
                }
                None => {}
            }
        }
        if self.is_strict {
            return None;
        }
        let stays = current.filter(|_| !is_yielding).and_then(|it| can(it.into()));
        let after = current.map_or(0, |current| usize::from(current) + 1);
        let next = || runnable.iter().map(|it| it.id()).find(|it| usize::from(*it) >= after);
        stays.or_else(next).or_else(|| runnable.first().map(|it| it.id()))
    }

    fn next_u64(&mut self) -> u64 {
        let next = self.data.pop_front();
        if next.is_none() && self.is_strict {
            MISFITS.set(true);
        }
        next.unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Picks;

    #[test]
    fn a_schedule_is_read_back_as_it_was_written() {
        // Writes turns and free choices, and reads texts that are none.
        let picks = Picks { tasks: vec![0, 0, 0, 1, 2, 2], data: vec![0, 255, u64::MAX] };
        assert_eq!(picks.text(), "0*3 1 2*2 / 0 ff ffffffffffffffff");
        assert_eq!(Picks::read(&picks.text(), 6).as_ref(), Some(&picks));
        assert_eq!(Picks::read(&Picks::default().text(), 0), Some(Picks::default()));
        let texts = ["", "0 1", "x / 0", "0*x / 0", "0 / y", "0*7 / 0", "0*18446744073709551615 /"];
        for text in texts {
            assert_eq!(Picks::read(text, 6), None, "{text}");
        }
        assert_eq!(picks.switches(), 2);
    }

    #[test]
    fn a_smaller_schedule_has_fewer_turns_or_fewer_switches() {
        // Three rows of turns, of which the last can be taken right behind the first.
        let picks = Picks { tasks: vec![0, 1, 0, 0], data: vec![7] };
        let all: Vec<_> = picks.smaller().map(|it| it.tasks).collect();
        assert_eq!(all, [vec![1, 0, 0], vec![0, 0, 0], vec![0, 1], vec![0, 0, 0, 1]]);
    }
}
