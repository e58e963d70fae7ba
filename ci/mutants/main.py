"""Mutants of a crate's logic; see `ci/mutants.sh`."""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

import listing
import plan
import rewrite
import run
from listing import Problem

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ROUNDS = 30
OUTCOMES = ["not tried", "unviable", "killed", "timed out", "survived"]


def say(text):
    print(text, flush=True)


def write_if_new(path, text):
    """Writes a file unless it has this text, so that cargo builds only what has changed."""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def edit(file, text, edits):
    """Returns the text with each of the edits; a pattern that is not found is out of date."""
    for pattern, replacement in edits:
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        if count == 0:
            raise Problem(f"{file}: a stage's edit finds nothing: {pattern}")
    return text


class Tree:
    """A copy of the sources, in which the files of one crate are rewritten."""

    def __init__(self, root, work, crate):
        self.root, self.path, self.crate = root, os.path.join(work, "tree"), crate
        self.sources = {}
        said = subprocess.run(
            ["git", "ls-files", "-z", "-co", "--exclude-standard"],
            cwd=root, capture_output=True, text=True, check=True,
        ).stdout
        files = {file for file in said.split("\0") if file and os.path.isfile(f"{root}/{file}")}
        edited = {file for stage in crate.stages for file in stage.edits}
        rewritten = {file for file in files if file.startswith(crate.prefix)} | edited
        for file in files - rewritten:
            self.copy(file)
        for file in rewritten:
            os.makedirs(os.path.dirname(f"{self.path}/{file}"), exist_ok=True)
            if file.endswith((".rs", ".toml")):
                with open(f"{root}/{file}", encoding="utf-8") as text:
                    self.sources[file] = rewrite.Text(text.read())
            else:
                self.copy(file)
        self.remove_others(files)

    def copy(self, file):
        source, target = f"{self.root}/{file}", f"{self.path}/{file}"
        if os.path.exists(target) and os.stat(target).st_mtime == os.stat(source).st_mtime:
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(source, target)

    def remove_others(self, files):
        for folder, folders, names in os.walk(self.path):
            if folder == self.path and "target" in folders:
                folders.remove("target")
            for name in names:
                file = os.path.relpath(os.path.join(folder, name), self.path)
                if file not in files:
                    os.remove(f"{self.path}/{file}")

    def write(self, functions, stage):
        """Writes the crate's files, with the mutants that are not judged yet behind the switch."""
        by_file = collections.defaultdict(list)
        for (file, _), function in functions.items():
            if function.mutants:
                by_file[file].append(function)
        for file, source in self.sources.items():
            text = source.text
            if file in by_file:
                text = rewrite.rewrite(source, by_file[file])
            if file == f"{self.crate.prefix}src/lib.rs":
                count = 1 + max(function.number for function in functions.values())
                text += rewrite.SWITCH.replace("COUNT", str(count))
            text = edit(file, text, stage.edits.get(file, []))
            write_if_new(f"{self.path}/{file}", text)
        for file, origin in stage.added.items():
            with open(os.path.join(HERE, origin), encoding="utf-8") as text:
                os.makedirs(os.path.dirname(f"{self.path}/{file}"), exist_ok=True)
                write_if_new(f"{self.path}/{file}", text.read())


def functions_of(tree, mutants):
    """Returns the functions by file and place. What cannot be switched is not tried."""
    functions = {}
    for mutant in mutants:
        function, source = mutant.function, tree.sources.get(mutant.file)
        if not function or not source:
            mutant.outcome, mutant.by = "not tried", "outside any function"
            continue
        returns = function["return_type"]
        if re.search(r"\bimpl\b", returns) and not rewrite.ITERATOR.search(returns):
            mutant.outcome, mutant.by = "not tried", "the function's type is that of its body"
            continue
        key = (mutant.file, json.dumps(function["span"], sort_keys=True))
        if key not in functions:
            number = len(functions) + 1
            functions[key] = rewrite.Function(number, mutant.file, source, function)
        functions[key].mutants.append(mutant)
    return functions


class Memory:
    """What was taken out of a file before, as long as the file has the same text.

    So a second run builds once, and not at all if nothing has changed.
    """

    def __init__(self, tree, stage):
        self.tree, self.path = tree, os.path.join(tree.path, f"../taken_out-{stage.name}.json")
        self.known = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                self.known = json.load(file)

    def key(self, file):
        return hashlib.sha256(self.tree.sources[file].text.encode()).hexdigest()

    def recall(self, functions):
        """Takes the mutants out that were taken out of the same text."""
        for function in functions:
            known = self.known.get(function.file, {}).get(self.key(function.file), {})
            for mutant in function.mutants:
                mutant.outcome, mutant.by = known.get(mutant.change, ("", ""))
            function.mutants = [mutant for mutant in function.mutants if not mutant.outcome]

    def keep(self, mutants):
        for mutant in mutants:
            if mutant.outcome in ("unviable", "not tried"):
                texts = self.known.setdefault(mutant.file, {})
                key = self.key(mutant.file)
                if key not in texts:
                    texts.clear()
                texts.setdefault(key, {})[mutant.change] = (mutant.outcome, mutant.by)
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(self.known, file)


class Build:
    """Builds the tests of a stage over the tree, and takes out what does not compile."""

    def __init__(self, tree, functions, stage):
        self.tree, self.functions, self.stage = tree, functions, stage
        self.memory = Memory(tree, stage)
        self.by_number = {f.number: f for f in functions.values()}
        self.mutants = {m.number: m for f in functions.values() for m in f.mutants}

    def run(self):
        """Returns the test binaries, each with its folder."""
        self.memory.recall(self.functions.values())
        for round_ in range(1, ROUNDS + 1):
            self.tree.write(self.functions, self.stage)
            began = time.monotonic()
            errors, binaries = self.cargo()
            out = self.take_out(errors)
            say(f"  build {round_}: {time.monotonic() - began:.0f} s, {out} mutants taken out")
            self.memory.keep(self.mutants.values())
            if binaries is not None:
                return binaries
            if out == 0:
                told = "\n".join(error["rendered"] for error in errors[:3])
                raise Problem(f"the build fails, and no mutant is the cause:\n{told}")
        raise Problem(f"the build fails after {ROUNDS} rounds")

    def cargo(self):
        """Returns the compiler's errors, and the binaries if there are none."""
        command = ["cargo", "test", "--no-run", "--message-format=json", *self.stage.build]
        # Of its own: in one that is shared, cargo takes this crate for the one with the same path
        # below its workspace, and a later `cargo test` would run mutants.
        env = dict(os.environ, CARGO_TARGET_DIR=os.path.join(self.tree.path, "target"))
        with open(f"{self.tree.path}/../build.log", "w", encoding="utf-8") as log:
            said = subprocess.run(
                command, cwd=self.tree.path, env=env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        errors, binaries = [], []
        for line in said.stdout.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("reason") == "compiler-message":
                if message["message"]["level"].startswith("error"):
                    errors.append(message["message"])
            elif message.get("executable") and message["profile"]["test"]:
                binaries.append((message["executable"], os.path.dirname(message["manifest_path"])))
        if said.returncode == 0:
            return errors, binaries
        if not errors:
            with open(f"{self.tree.path}/../build.log", encoding="utf-8") as log:
                raise Problem(f"{' '.join(command)}:\n{log.read()[-2000:]}")
        return errors, None

    def take_out(self, errors):
        """Takes out the mutants whose text has an error. Returns how many."""
        before = sum(len(function.mutants) for function in self.by_number.values())
        texts = {}
        for error in errors:
            whose = {self.whose(span, texts) for span in error["spans"] if span["is_primary"]}
            whose = whose - {None} or {self.whose(span, texts) for span in error["spans"]} - {None}
            for mark in whose:
                if mark.startswith("f"):
                    self.not_tried(self.by_number[int(mark[1:])], error["message"])
                else:
                    mutant = self.mutants[int(mark)]
                    mutant.outcome, mutant.by = "unviable", error["message"]
            # A constant needs a function that has been made an ordinary one for its switch.
            called = r"cannot call non-const .*`(?:.*::)?(\w+)(?:::<.*>)?`"
            name = re.search(called, error["message"])
            if name and not whose:
                for function in self.by_number.values():
                    if re.search(rf"\bconst fn {name[1]}\b", function.signature):
                        self.not_tried(function, "a constant calls it")
        for function in self.by_number.values():
            function.mutants = [mutant for mutant in function.mutants if not mutant.outcome]
        return before - sum(len(function.mutants) for function in self.by_number.values())

    def not_tried(self, function, why):
        for mutant in function.mutants:
            mutant.outcome, mutant.by = "not tried", why

    def whose(self, span, texts):
        while span.get("expansion"):
            span = span["expansion"]["span"]
        path = os.path.join(self.tree.path, span["file_name"])
        if not os.path.exists(path) or os.path.isabs(span["file_name"]):
            return None
        if path not in texts:
            with open(path, encoding="utf-8") as file:
                texts[path] = file.read()
        return rewrite.marked(texts[path], span["line_start"])


def learn(binaries, jobs, longest):
    """Returns the tests, each with what it reaches. One that fails by itself is of no use, and one
    that takes longer than `longest` seconds is left out."""
    tests = [run.Test(*binary, name) for binary in binaries for name in run.names(*binary)]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        learned = list(pool.map(lambda test: run.learn(test, longest), tests))
    for test, (passed, _) in zip(tests, learned):
        if not passed:
            say(f"  not used, since it fails without a mutant: {test.name}")
    long = sum(passed and not is_short for passed, is_short in learned)
    if long:
        say(f"  {long} tests are left out: each takes more than {longest:.0f} s")
    return [test for test, (passed, is_short) in zip(tests, learned) if passed and is_short]


def order(tests, function, crate):
    """Orders the tests that reach a function: those near it first, then by their time."""
    file = function.file.removeprefix(f"{crate.prefix}src/").removesuffix(".rs")
    modules = file.removesuffix("/mod").split("/")

    def distance(test):
        near = os.path.commonprefix([modules, test.name.split("::")])
        return -len(near), test.seconds

    return sorted(tests, key=distance)


def judge_all(functions, tests, crate, jobs, results):
    """Runs the tests over each mutant, and writes down what became of it."""
    began, done = time.monotonic(), 0
    work = []
    for function in functions.values():
        reaching = [test for test in tests if function.number in test.reached]
        reaching = order(reaching, function, crate)
        work.extend((mutant, reaching) for mutant in function.mutants)
    work.sort(key=lambda of: sum(test.seconds for test in of[1]))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(run.judge, mutant.number, ts): mutant for mutant, ts in work}
        for future in concurrent.futures.as_completed(waiting):
            mutant = waiting[future]
            mutant.outcome, mutant.by = future.result()
            results.write(row(mutant))
            results.flush()
            done += 1
            if done % 100 == 0:
                say(f"  {done} of {len(work)} ({time.monotonic() - began:.0f} s)")


def try_stage(tree, functions, stage, crate, jobs):
    """Tries the mutants that are still in the functions."""
    count = sum(len(function.mutants) for function in functions.values())
    say(f"{count} mutants by {stage.tests}: cargo test {' '.join(stage.build)}")
    binaries = Build(tree, functions, stage).run()
    tests = learn(binaries, jobs, stage.longest)
    say(f"  {len(tests)} tests, {sum(test.seconds for test in tests):.0f} s without a mutant")
    with open(f"{tree.path}/../{stage.name}.tsv", "w", encoding="utf-8") as results:
        judge_all(functions, tests, crate, jobs, results)


def table(mutants):
    """Returns the figures of each file, and their sum."""
    counts = collections.defaultdict(collections.Counter)
    for mutant in mutants:
        counts[mutant.file][mutant.outcome] += 1
        counts["in all"][mutant.outcome] += 1
    width = max(map(len, counts))
    rows = [f"{'file':{width}}  mutants  " + "  ".join(OUTCOMES)]
    for file in sorted(set(counts) - {"in all"}) + ["in all"]:
        figures = [f"{counts[file][outcome]:{len(outcome)}}" for outcome in OUTCOMES]
        rows.append(f"{file:{width}}  {sum(counts[file].values()):7}  " + "  ".join(figures))
    return "\n".join(rows)


def share(mutants):
    counts = collections.Counter(mutant.outcome for mutant in mutants)
    noticed = counts["killed"] + counts["timed out"]
    return f"{noticed} of {noticed + counts['survived']}" + (
        f" ({100 * noticed / (noticed + counts['survived']):.1f} %)" if noticed else ""
    )


def chosen(functions, options, reasons):
    """Leaves in each function the mutants that are to be tried."""
    at, of = options.shard
    for number, ((file, _), function) in enumerate(sorted(functions.items())):
        if number % of != at - 1 or (options.file and options.file not in file):
            function.mutants = []
        if options.listed:
            function.mutants = [m for m in function.mutants if m.name in reasons]


def row(mutant):
    """Returns a line: the file, its line, the change, the outcome, and what noticed it."""
    of = [mutant.file, str(mutant.span["start"]["line"]), mutant.change, mutant.outcome, mutant.by]
    return "\t".join(of).replace("\n", " ") + "\n"


def report(work, tried):
    """Says the figures, and writes each mutant's outcome down."""
    with open(f"{work}/results.tsv", "w", encoding="utf-8") as file:
        file.writelines(row(mutant) for mutant in tried)
    say(table(tried))
    say(f"noticed: {share(tried)} of the mutants tried that compile")
    say(f"each mutant's outcome, and the test that noticed it: {work}/results.tsv")


def try_crate(root, work, crate, list_path, options):
    """Returns what differs between the list of survivors and what is found, and what was tried."""
    os.makedirs(work, exist_ok=True)
    reasons = listing.read(list_path)
    mutants = listing.listed_by_cargo(root, crate)
    tree = Tree(root, work, crate)
    functions = functions_of(tree, mutants)
    chosen(functions, options, reasons)
    tried = [mutant for function in functions.values() for mutant in function.mutants]
    if options.shard == (1, 1) and not options.listed:
        untried = [m for m in mutants if m.outcome == "not tried"]
        tried += [m for m in untried if not options.file or options.file in m.file]
    for stage in crate.stages:
        try_stage(tree, functions, stage, crate, options.jobs)
        for function in functions.values():
            function.mutants = [m for m in function.mutants if m.outcome == "survived"]
            for mutant in function.mutants if stage is not crate.stages[-1] else []:
                mutant.outcome = ""
    tried.sort(key=lambda mutant: mutant.number)
    if not tried:
        raise Problem("there is no such mutant")
    report(work, tried)
    if options.write:
        reasons = listing.anew(reasons, crate.prefix, mutants, tried)
        listing.write(list_path, reasons)
    of_crate = {n: r for n, r in reasons.items() if n[0].startswith(crate.prefix)}
    unjudged = sum(reason.startswith(listing.NOT_JUDGED) for reason in of_crate.values())
    say(f"listed survivors: {len(of_crate)}, of which {unjudged} are not judged")
    return listing.compare(of_crate, mutants, tried), tried


def told(differences):
    """Says what differs. Returns the command's exit code."""
    for difference in differences:
        say(difference)
    return 1 if differences else 0


def shard(text):
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text}: not of the form 1/4")
    return int(match[1]), int(match[2])


def arguments(argv):
    parser = argparse.ArgumentParser(prog="ci/mutants.sh", description=__doc__)
    parser.add_argument("crate", nargs="?", choices=sorted(plan.CRATES))
    parser.add_argument("--shard", type=shard, default=(1, 1), help="which part of how many: 1/4")
    parser.add_argument("--file", help="only files whose path has this in it")
    parser.add_argument("--listed", action="store_true", help="only the survivors of the list")
    parser.add_argument("--write", action="store_true", help="write the list anew, reasons kept")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once")
    parser.add_argument("--self-test", action="store_true", help="the tool over planted faults")
    options = parser.parse_args(argv)
    if not options.self_test and not options.crate:
        parser.error("name a crate, or --self-test")
    return options


def main(argv):
    options = arguments(argv)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    work = os.path.join(os.path.abspath(target), "mutants")
    try:
        if options.self_test:
            import selftest

            return selftest.run(os.path.join(work, "self-test"))
        crate = plan.CRATES[options.crate]
        work = os.path.join(work, options.crate)
        differences, _ = try_crate(ROOT, work, crate, f"{ROOT}/ci/mutants.txt", options)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return told(differences)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
