"""What is tried: the crates, the files left out with the reason, and the tests, stage by stage.

A stage builds tests over a copy of the tree, and tries what the stages before it have left alive.
"""

from dataclasses import dataclass, field


@dataclass
class Stage:
    """Tests, by the words for `cargo test`."""

    name: str
    tests: str
    build: list
    # What is different in the copy of the tree: by file, patterns of text and what replaces it.
    edits: dict = field(default_factory=dict)
    # Files that the copy has in addition, each with the file in this folder that has its text.
    added: dict = field(default_factory=dict)
    # A test that takes longer without a mutant, in seconds, is left out. Mutants that no test
    # notices are what costs: each runs all tests that reach it, some of them for minutes.
    longest: float = 600.0


@dataclass
class Crate:
    """A crate of which mutants are made."""

    package: str
    folder: str
    stages: list
    # Files, as patterns relative to `src`, of which no mutant is made, with the reason.
    left_out: dict = field(default_factory=dict)

    @property
    def prefix(self):
        """What the paths of the crate's files begin with."""
        return f"{self.folder}/" if self.folder else ""


def lines(*beginnings):
    """Returns the edit that removes the lines that begin with one of these words."""
    return "^({})(?![-\\w]).*\n".format("|".join(beginnings)), ""


# Dependencies of examples and benches.
SERVICES = {
    "core/services/Cargo.toml": [lines("blocksmith-consensus", "blocksmith-node", "tokio")],
}
SYNC = {
    "core/sync/Cargo.toml": [
        lines(
            "criterion",
            "tokio",
            "crossbeam-channel",
            "event-listener",
            "flume",
            "kanal",
            "oneshot",
            "parking_lot",
            "rtrb",
        )
    ]
}

# The scenarios without those of the services, whose models and twins they do without as well. So
# they depend on the engines and on core/sync alone. Loom, which would find no more in the logic,
# gets the instances of real threads, since to compile its own takes minutes.
ABOVE_SYNC = "services|trace|lifecycle|validator|payload_attestation"
HARNESS = "\n[[test]]\nname = \"sync\"\nharness = false\n"
SCENARIOS = {
    "verification/engines/src/scenario.rs": [
        (r"(loom:.* \$name::)<\$crate::loom::Loom ", r"\1<$crate::Std "),
        (r"<\$crate::mutant::Mutant<\$crate::loom::Loom> ", r"<$crate::Std "),
    ],
    "models/Cargo.toml": [
        lines("blocksmith", "blocksmith-sync", "serde", "serde_json", "tla-checker", "tracing")
    ],
    "models/src/lib.rs": [(r"^(pub )?mod (?!catalogue;|hazard;).*\n", "")],
    # Its first part is the type of a check.
    "models/src/catalogue.rs": [
        (r"^/// Returns every check of this crate\.\n(.|\n)*", ""),
        (r"^use (stateright|std::net|thiserror|crate::(?!hazard)).*\n", ""),
    ],
    "verification/scenarios/Cargo.toml": [
        lines("blocksmith", "blocksmith-terminal", "tracing"),
        (r"\Z", HARNESS),
    ],
    "verification/scenarios/src/lib.rs": [lines("pub mod twins")],
    "verification/scenarios/src/scenarios/mod.rs": [
        (rf"^ *(pub mod )?({ABOVE_SYNC})(;|::list\(\),)\n", "")
    ],
}

CRATES = {
    "services": Crate(
        package="blocksmith",
        folder="core/services",
        left_out={
            "toy*.rs": "the toy protocol of the tests",
            "*/toy.rs": "the toy protocol of the tests",
            "supervision/inject.rs": "faults that tests inject",
        },
        stages=[
            Stage(
                name="units",
                tests="the unit tests of core/services",
                build="-p blocksmith --lib".split(),
                edits=SERVICES,
            ),
        ],
    ),
    "sync": Crate(
        package="blocksmith-sync",
        folder="core/sync",
        stages=[
            Stage(
                name="units",
                tests="the unit tests and the stress test of core/sync",
                build="-p blocksmith-sync --features stream --lib --test stress".split(),
                edits=SYNC,
            ),
            Stage(
                name="scenarios",
                tests="the scenarios of core/sync, and the linearizability of its channels",
                build="-p blocksmith-scenarios --test sync".split(),
                edits=SYNC | SCENARIOS,
                added={"verification/scenarios/tests/sync.rs": "scenarios.rs"},
                longest=5.0,
            ),
        ],
    ),
}
