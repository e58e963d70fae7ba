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
    # Dependencies that no test of the stage needs, by the manifest that has them.
    without: dict = field(default_factory=dict)


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


# Of examples.
SERVICES = {"core/services/Cargo.toml": ["blocksmith-consensus", "blocksmith-node", "tokio"]}
# Of examples and benches.
SYNC = {
    "core/sync/Cargo.toml": [
        "criterion",
        "tokio",
        "crossbeam-channel",
        "event-listener",
        "flume",
        "kanal",
        "oneshot",
        "parking_lot",
        "rtrb",
    ]
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
                without=SERVICES,
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
                without=SYNC,
            ),
        ],
    ),
}
