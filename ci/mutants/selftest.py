"""The tool over a crate that is made on the fly, in which the outcome of every mutant is known.

Then the same with lists of survivors that are wrong, and with a switch that is stuck: the tool has
to notice each.
"""

import collections
import os
import shutil
import subprocess
from contextlib import redirect_stdout
from types import SimpleNamespace

import listing
import main
import plan
import rewrite

MANIFEST = """\
[package]
name = "planted"
version = "0.1.0"
edition = "2024"

[workspace]
"""

SOURCE = r"""//! Rules, some of which no test holds.

/// Both sides of the bound are tested.
pub fn fits(len: usize, bound: usize) -> bool {
    len < bound
}

/// What happens at the bound is not tested.
pub fn has_room(len: usize, bound: usize) -> bool {
    len < bound
}

/// Of two equal numbers, either is the larger.
pub fn larger(a: u32, b: u32) -> u32 {
    if a < b { b } else { a }
}

/// No test calls it.
pub fn unreached(braces: &str) -> bool {
    braces != "}" && braces.chars().all(|brace| brace != '{') // }
}

/// There is no other value of this type.
#[derive(Debug, PartialEq)]
pub struct Odd(u32);

/// Not a `Default`.
pub fn odd(n: u32) -> Odd {
    Odd(n | 1)
}

/// A constant calls it.
pub const fn half(n: u32) -> u32 {
    n / 2
}

/// Half of a hundred.
pub const FIFTY: u32 = half(100);

/// No constant calls it.
pub const fn twice(n: u32) -> u32 {
    n << 1
}

/// Its type is its body's, and stays so.
pub fn adder(m: u32) -> impl Fn(u32) -> u32 {
    move |n| n + m
}

/// Its type is its body's, and becomes that of all bodies.
pub fn evens() -> impl Iterator<Item = u32> {
    (0..4).map(|n| n * 2)
}

/// A function with one within it.
pub fn next_even(n: u32) -> u32 {
    fn is_odd(n: u32) -> bool {
        n % 2 == 1
    }
    if is_odd(n) { n + 1 } else { n }
}

/// Ends, if it counts down.
pub fn steps(mut n: u8) -> u8 {
    let mut taken = 0_u8;
    while n > 0 {
        n -= 1;
        taken = taken.saturating_add(1);
    }
    taken
}

/// Arms and guards.
pub fn name(n: u32) -> &'static str {
    match n {
        0 => "none",
        n if n > 9 => "many",
        _ => "some",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert!(fits(1, 2) && !fits(2, 2) && !fits(3, 2));
        assert!(has_room(1, 2) && !has_room(3, 2));
    }

    #[test]
    fn numbers() {
        assert_eq!((larger(1, 2), larger(2, 1)), (2, 2));
        assert_eq!((odd(2), odd(3), twice(3)), (Odd(3), Odd(3), 6));
        assert_eq!((evens().sum::<u32>(), adder(1)(2)), (12, 3));
        assert_eq!((next_even(5), next_even(6), steps(3), steps(2)), (6, 6, 3, 2));
    }

    #[test]
    fn names() {
        assert_eq!([0, 1, 9, 10].map(name), ["none", "some", "some", "many"]);
    }
}
"""

# Tests of a second stage: the copy of the tree has them in addition, and the feature that they
# need. One of them would notice more of what is left, if it were not too slow.
MORE = r"""
#![cfg(feature = "more")]
use planted::{has_room, unreached};

#[test]
fn full() {
    assert!(!has_room(2, 2));
}

#[test]
fn slow() {
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert!(unreached("braces") && !unreached("{"));
}
"""
FEATURE = (r"\Z", "\n[features]\nmore = []\n")

FILE = "src/lib.rs"
SURVIVORS = {
    "replace < with <= in has_room": "not judged",
    "replace < with <= in larger": "equivalent: of two equal numbers, either is the larger",
    "replace unreached -> bool with true": "not judged",
    "replace unreached -> bool with false": "not judged",
    "replace != with == in unreached #1": "not judged",
    "replace != with == in unreached #2": "not judged",
    "replace && with || in unreached": "not judged",
}
KILLED = "replace fits -> bool with true"
# How many mutants of a function have which outcome; the others are killed.
NOT_KILLED = {
    ("has_room", "survived"): 1,
    ("larger", "survived"): 1,
    ("unreached", "survived"): 5,
    ("odd", "unviable"): 1,
    ("half", "not tried"): 4,
    ("adder", "not tried"): 2,
    ("steps", "timed out"): 1,
}


def plant(folder):
    """Writes the crate."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/src")
    for file, text in (("Cargo.toml", MANIFEST), (FILE, SOURCE)):
        with open(f"{folder}/{file}", "w", encoding="utf-8") as target:
            target.write(text)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


def outcomes(tried):
    """Returns how many mutants have which outcome: of each function, but of all for the killed."""
    counts = collections.Counter()
    for mutant in tried:
        killed = mutant.outcome == "killed"
        counts["killed" if killed else (mutant.function["function_name"], mutant.outcome)] += 1
    return counts


class Case:
    """The crate, and a list of survivors that a case may spoil."""

    def __init__(self, work):
        self.root, self.work = f"{work}/planted", f"{work}/work"
        stage = plan.Stage(name="units", tests="the tests of the planted crate", build=["--lib"])
        self.crate = plan.Crate(package="planted", folder="", stages=[stage])
        plant(self.root)

    def run(self, survivors, shard=(1, 1)):
        """Returns the command's exit code, and the mutants that were tried."""
        reasons = {(FILE, change): reason for change, reason in survivors.items()}
        listing.write(f"{self.root}/survivors.txt", reasons)
        options = SimpleNamespace(shard=shard, file=None, listed=False, write=False, jobs=2)
        path = f"{self.root}/survivors.txt"
        with open(f"{self.root}/../log", "a", encoding="utf-8") as log, redirect_stdout(log):
            differences, tried = main.try_crate(self.root, self.work, self.crate, path, options)
            return main.told(differences), differences, tried


def without(survivors, change):
    return {name: reason for name, reason in survivors.items() if name != change}


class Checks:
    """What was checked, and whether it was so."""

    def __init__(self):
        self.failed = 0

    def check(self, what, is_so, seen):
        self.failed += not is_so
        print(f"ok: {what}" if is_so else f"FAILED: {what}: {seen}", flush=True)


def wrong_lists(case, checks):
    """A survivor left out, one that is killed, and one that is gone."""
    unlisted = "replace < with <= in has_room"
    told = f"survives, and is not listed: {FILE}: {unlisted}"
    expect(case, checks, without(SURVIVORS, unlisted), told)
    told = f"is listed, and is killed by tests::bounds: {FILE}: {KILLED}"
    expect(case, checks, {**SURVIVORS, KILLED: "equivalent: so it is said"}, told)
    gone = "replace < with <= in nowhere"
    told = f"is listed, and is gone: {FILE}: {gone}"
    expect(case, checks, {**SURVIVORS, gone: "not judged"}, told)


def expect(case, checks, survivors, told):
    code, differences, _ = case.run(survivors)
    checks.check(told, (code, differences) == (1, [told]), differences)


def list_anew(tried, checks):
    """The list of the crate is written anew: a reason stays, what is gone goes, others are left."""
    listed = {(FILE, change): reason for change, reason in SURVIVORS.items()}
    other = {("other/src/lib.rs", "replace < with <= in far"): "equivalent: elsewhere"}
    gone = {(FILE, "replace < with <= in nowhere"): "not judged"}
    found = listing.anew(listed | other | gone, "src/", tried, tried)
    checks.check("a list written anew keeps other crates' survivors", found == listed | other, found)


def second_stage(case, checks):
    """A second stage tries what the first has left, without the test that takes too long."""
    with open(f"{case.work}-more.rs", "w", encoding="utf-8") as file:
        file.write(MORE)
    stage = plan.Stage(
        name="more",
        tests="tests that the copy has in addition",
        build=["--test", "more", "--features", "more"],
        edits={"Cargo.toml": [FEATURE]},
        added={"tests/more.rs": f"{case.work}-more.rs"},
        longest=3.0,
    )
    case.crate.stages.append(stage)
    told = f"is listed, and is killed by full: {FILE}: replace < with <= in has_room"
    expect(case, checks, SURVIVORS, told)
    stage.edits["Cargo.toml"] = [(r"^nowhere\n", "")]
    try:
        problem = case.run(SURVIVORS)
    except listing.Problem as caught:
        problem = str(caught)
    told = "Cargo.toml: a stage's edit finds nothing: ^nowhere\\n"
    checks.check("an edit that finds nothing is a problem", problem == told, problem)
    case.crate.stages.pop()


def stuck_switch(case, checks):
    """A switch that never leaves the original."""
    switch, line = rewrite.SWITCH, "        *ON\n"
    rewrite.SWITCH = switch.replace(line, "        *ON - *ON\n")
    try:
        code, _, tried = case.run(SURVIVORS)
    finally:
        rewrite.SWITCH = switch
    noticed = [mutant.change for mutant in tried if mutant.outcome in ("killed", "timed out")]
    is_stuck = switch.count(line) == 1 and code == 1 and not noticed
    checks.check("with a switch that is stuck, no mutant is killed", is_stuck, noticed)


def run(work):
    """Returns 0 if everything came out as it should, and 1 otherwise."""
    case, checks = Case(work), Checks()
    code, differences, tried = case.run(SURVIVORS)
    counts = outcomes(tried)
    killed = counts.pop("killed")
    checks.check("the right list is accepted", code == 0, differences)
    checks.check("each outcome is the expected one", counts == NOT_KILLED, counts)
    checks.check("the others are killed", killed > 30, killed)
    with open(f"{case.root}/{FILE}", encoding="utf-8") as file:
        checks.check("the source is untouched", file.read() == SOURCE, "it differs")
    parts = [[mutant.number for mutant in case.run(SURVIVORS, (at, 2))[2]] for at in (1, 2)]
    whole = [m.number for m in tried if m.function["function_name"] != "adder"]
    is_whole = all(parts) and sorted(parts[0] + parts[1]) == sorted(whole)
    checks.check("two shards are the whole", is_whole, parts)
    wrong_lists(case, checks)
    list_anew(tried, checks)
    second_stage(case, checks)
    stuck_switch(case, checks)
    return 1 if checks.failed else 0
