"""The mutants of a crate, as cargo-mutants lists them, and the list of those that survive.

A mutant's name has no line: the file, the change, and the function. Of several with the same name
in one file, each has its number, in the order of the text.

The list of survivors gives a file at the margin, a name after two spaces, a reason after four:

    core/services/src/bits.rs
      replace < with <= in Bits::set #2
        equivalent: no place is as large as the committee
"""

import collections
import fnmatch
import json
import re
import subprocess
from dataclasses import dataclass

NOT_JUDGED = "not judged"


class Problem(Exception):
    """An input that is not as it should be, in words for a person."""


@dataclass
class Mutant:
    """A mutant. `span` and `function` are cargo-mutants' places in the file."""

    number: int
    file: str
    change: str
    replacement: str
    span: dict
    function: dict
    outcome: str = ""
    by: str = ""

    @property
    def name(self):
        return self.file, self.change


def listed_by_cargo(root, crate):
    """Returns the mutants of a crate, in the order of the text, numbered from 1."""
    command = ["cargo", "mutants", "--list", "--json", "--package", crate.package]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise Problem(f"{' '.join(command)}: {said.stderr.strip()}")
    entries = [entry for entry in json.loads(said.stdout) if not is_left_out(crate, entry["file"])]
    entries.sort(key=lambda entry: (entry["file"], *place(entry)))
    names = [(entry["file"], change(entry["name"])) for entry in entries]
    count, seen, mutants = collections.Counter(names), collections.Counter(), []
    for number, (entry, name) in enumerate(zip(entries, names), 1):
        seen[name] += 1
        numbered = f"{name[1]} #{seen[name]}" if count[name] > 1 else name[1]
        of = [entry["replacement"], entry["span"], entry["function"]]
        mutants.append(Mutant(number, entry["file"], numbered, *of))
    return mutants


def change(name):
    """Returns a mutant's name without its place."""
    return " ".join(re.sub(r"^.*?:\d+:\d+: ", "", name).split())


def place(entry):
    start = entry["span"]["start"]
    return start["line"], start["column"]


def is_left_out(crate, file):
    within = file.removeprefix(f"{crate.prefix}src/")
    return any(fnmatch.fnmatch(within, pattern) for pattern in crate.left_out)


def read(path):
    """Returns the reasons of the listed survivors by name: file and change."""
    reasons, file, change = {}, None, None
    try:
        with open(path, encoding="utf-8") as text:
            lines = text.read().split("\n")
    except FileNotFoundError:
        return reasons
    for at, line in enumerate(lines, 1):
        content, indent = line.strip(), len(line) - len(line.lstrip(" "))
        if not content or line.startswith("#"):
            continue
        if indent == 0:
            file, change = content, None
        elif indent == 2 and file:
            change = content
            if (file, change) in reasons:
                raise Problem(f"{path}:{at}: {change}: listed twice for {file}")
            reasons[(file, change)] = ""
        elif indent == 4 and change:
            reasons[(file, change)] = f"{reasons[(file, change)]} {content}".strip()
        else:
            raise Problem(f"{path}:{at}: indented by {indent}, or without a file or name above it")
    bare = [name for name, reason in reasons.items() if not reason]
    if bare:
        raise Problem(f"{path}: {bare[0][0]}: {bare[0][1]}: without a reason")
    return reasons


HEAD = """\
# The mutants that no test kills, each with the reason; see `ci/mutants.sh`.
# "equivalent": no input tells it from the original. "only speed": it costs time, and nothing else.
# "not judged": nobody has looked at it yet.
"""


def write(path, reasons):
    """Writes the list, in the order of the names."""
    lines, file = [HEAD], None
    for (of, change), reason in sorted(reasons.items()):
        if of != file:
            lines.append(f"\n{of}\n" if file else f"{of}\n")
            file = of
        lines.append(f"  {change}\n    {reason}\n")
    with open(path, "w", encoding="utf-8") as text:
        text.write("".join(lines))


def anew(reasons, prefix, mutants, tried):
    """Returns the list with what was found of the crate below `prefix`: survivors, old reasons kept,
    and what was not tried. What is listed of other crates stays."""
    names = {mutant.name: mutant for mutant in mutants}
    kept = {
        name: reason
        for name, reason in reasons.items()
        if not name[0].startswith(prefix) or (name in names and names[name] not in tried)
    }
    lives = [mutant.name for mutant in tried if mutant.outcome == "survived"]
    return kept | {name: reasons.get(name, NOT_JUDGED) for name in lives}


def compare(reasons, mutants, tried):
    """Returns what differs between the list and what was found, a line each."""
    by_name = {mutant.name: mutant for mutant in mutants}
    found = []
    for name, reason in sorted(reasons.items()):
        mutant = by_name.get(name)
        if mutant is None:
            found.append(f"is listed, and is gone: {name[0]}: {name[1]}")
        elif mutant in tried and mutant.outcome not in ("survived", ""):
            how = f"{mutant.outcome} by {mutant.by}" if mutant.by else mutant.outcome
            found.append(f"is listed, and is {how}: {name[0]}: {name[1]}")
    for mutant in tried:
        if mutant.outcome == "survived" and mutant.name not in reasons:
            found.append(f"survives, and is not listed: {mutant.file}: {mutant.change}")
    return found
