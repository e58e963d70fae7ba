"""Runs tests over a mutant: those that reach it, until one fails.

Tests that end quickly share a process, one after the other, which is ended at the first failure. A
test has a limit of time, and a process one of memory. A test that exceeds the time, or whose
process dies, has noticed the mutant as well.
"""

import os
import re
import resource
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

# A test may take so many times as long as without a mutant, and so many seconds more.
TIMES, SECONDS = 20, 5
# The tests of one process take this long together, in seconds, without a mutant.
TOGETHER = 2.0
MEMORY = 8 << 30
RESULT = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. ?", re.MULTILINE)


@dataclass
class Test:
    """A test of a binary, and what it was seen to do without a mutant."""

    binary: str
    folder: str
    name: str
    seconds: float = 0.0
    reached: set = field(default_factory=set)


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Process:
    """A process of a test binary. `verdict` is None until a test fails, or all have passed."""

    def __init__(self, tests, mutant, notes=None, limit=None):
        self.tests, self.limit = {test.name: test for test in tests}, limit
        binary, folder = tests[0].binary, tests[0].folder
        env = dict(os.environ, MUTANT=str(mutant), CARGO_MANIFEST_DIR=folder, RUST_BACKTRACE="0")
        env.pop("MUTANT_REACHED", None)
        if notes:
            env["MUTANT_REACHED"] = notes
        self.child = subprocess.Popen(
            [binary, "--exact", *self.tests, "--test-threads=1"],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=limit_memory,
        )

    def run(self):
        """Returns None if every test passes, or what happened and to which test."""
        try:
            return self.follow()
        finally:
            try:
                os.killpg(self.child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.child.wait()
            self.child.stdout.close()

    def follow(self):
        said, current = "", next(iter(self.tests))
        deadline = self.deadline(current)
        while True:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.child.stdout], [], [], max(0.0, left))
            if not ready:
                return "timed out", current
            part = os.read(self.child.stdout.fileno(), 1 << 16)
            if not part:
                code = self.child.wait()
                return None if code == 0 and "\ntest result: ok." in said else ("killed", current)
            said += part.decode(errors="replace")
            begun = [name for name in RESULT.findall(said) if name in self.tests]
            if begun and begun[-1] != current:
                current = begun[-1]
                deadline = self.deadline(current)
            failed = re.search(r"^test (\S+)[^\n]* \.\.\. [^\n]*FAILED$", said, re.MULTILINE)
            if failed:
                return "killed", failed[1]

    def deadline(self, name):
        limit = self.limit or TIMES * self.tests[name].seconds + SECONDS
        return time.monotonic() + limit


def names(binary, folder):
    """Returns the tests of a binary."""
    command = [binary, "--list", "--format", "terse"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines = said.stdout.splitlines()
    return [line.removesuffix(": test") for line in lines if line.endswith(": test")]


def learn(test, longest):
    """Runs a test without a mutant, and notes its time and what it reaches. Returns whether it
    passes, and whether it does so within `longest` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        notes = os.path.join(folder, "reached")
        began = time.monotonic()
        verdict = Process([test], 0, notes, limit=longest).run()
        test.seconds = time.monotonic() - began
        if os.path.exists(notes):
            with open(notes, encoding="utf-8") as file:
                test.reached = {int(line) for line in file}
    is_long = test.seconds > longest or verdict == ("timed out", test.name)
    return verdict is None or is_long, not is_long


def batches(tests):
    """Yields tests of one binary that may share a process, in their order."""
    batch, together = [], 0.0
    for test in tests:
        other = batch and (test.binary != batch[0].binary or together + test.seconds > TOGETHER)
        if other:
            yield batch
            batch, together = [], 0.0
        batch.append(test)
        together += test.seconds
    if batch:
        yield batch


def judge(number, tests):
    """Returns what the tests make of a mutant, and the name of the test that noticed it."""
    for batch in batches(tests):
        verdict = Process(batch, number).run()
        if verdict:
            return verdict
    return "survived", "" if tests else "no test reaches it"
