"""The life of a key against a model of it: any moves, any rotations, signatures in between."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.domain.errors import KeyMoveForbiddenError, LeaseLostError
from service.domain.keys import Algorithm, KeyState
from service.domain.lifecycle import Move, NewVersion
from service.domain.pages import PageRequest
from service.domain.signing import Intent, Statement
from service.ports.store import FindingFilter
from service.store import Store
from tests.support.postgres import PostgresServer
from tests.support.records import MOMENT, a_key, a_statement, an_intent, an_outcome, make_key

# Written down once more, from docs/architecture.md and not from the code.
MOVES = {
    ("staged", "active"),
    ("active", "retired"),
    ("retired", "destroyed"),
    ("staged", "destroyed"),
    ("active", "suspended"),
    ("suspended", "active"),
    ("suspended", "retired"),
    ("staged", "compromised"),
    ("active", "compromised"),
    ("suspended", "compromised"),
    ("retired", "compromised"),
    ("compromised", "destroyed"),
}
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Version:
    state: str
    alongside: bool
    compromised: bool = False
    since: datetime | None = None


class LifeMachine(RuleBasedStateMachine):
    """One key. `new_url` names an empty database each time."""

    new_url: ClassVar[Iterator[str]]

    @initialize()
    def begin(self) -> None:
        self.store = Store(next(type(self).new_url))
        make_key(self.store)
        self.model = {1: Version("active", alongside=False)}
        self.pending: list[tuple[int, Intent]] = []
        self.signed: list[int] = []
        self.numbers = iter(range(10_000))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    def number(self, pick: int) -> int:
        return pick % len(self.model) + 1

    def retire_others(self, number: int) -> None:
        for other, version in self.model.items():
            if other != number and version.state == "active":
                version.state = "retired"

    # --- what happens -------------------------------------------------------------------------

    @rule(staged=st.booleans(), alongside=st.booleans())
    def rotate(self, *, staged: bool, alongside: bool) -> None:
        number = len(self.model) + 1
        state = KeyState.STAGED if staged else KeyState.ACTIVE
        new = NewVersion("release", Algorithm.EC_P256, state, alongside)
        made = self.store.keys.add_version(
            new, a_key(f"v{number}")[1], created_at=MOMENT, actor="custodian"
        )
        assert made.version == number
        self.model[number] = Version(state.value, alongside)
        if not staged and not alongside:
            self.retire_others(number)

    @rule(
        pick=st.integers(0, 20),
        to=st.sampled_from(KeyState),
        timed=st.booleans(),
        alongside=st.sampled_from([None, True, False]),
    )
    def move(self, *, pick: int, to: KeyState, timed: bool, alongside: bool | None) -> None:
        number = self.number(pick)
        version = self.model[number]
        since = SINCE if timed and to is KeyState.COMPROMISED else None
        said = alongside if to is KeyState.ACTIVE else None
        wanted = Move("release", number, to, since=since, alongside=said)
        if (version.state, to.value) not in MOVES:
            with pytest.raises(KeyMoveForbiddenError) as refused:
                self.store.keys.move(wanted, actor="custodian")
            possible = {new for old, new in MOVES if old == version.state}
            assert set(refused.value.allowed) == possible
            return
        before = version.state
        self.store.keys.move(wanted, actor="custodian")
        version.state = to.value
        if to is KeyState.COMPROMISED:
            version.compromised, version.since = True, since
        if (before, to) == ("staged", KeyState.ACTIVE):
            version.alongside = version.alongside if said is None else said
            if not version.alongside:
                self.retire_others(number)

    @rule(pick=st.integers(0, 20))
    def begin_signing(self, *, pick: int) -> None:
        number = self.number(pick)
        intent = an_intent(_by(number, next(self.numbers)), request_id=f"req_{len(self.pending)}")
        self.store.journal.intend([intent], owner="own", seconds=60)
        self.pending.append((number, intent))

    @precondition(lambda self: self.pending)
    @rule()
    def finish_signing(self) -> None:
        number, intent = self.pending.pop(0)
        (done,) = self.store.journal.complete(
            [an_outcome(intent)], owner="own", order_lease_seconds=30
        )
        if self.model[number].state == "active":
            assert done.signature is not None
            self.signed.append(number)
        else:
            assert isinstance(done.error, LeaseLostError)

    # --- what always holds --------------------------------------------------------------------

    @invariant()
    def the_store_is_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        key = self.store.keys.get("release")
        assert key is not None
        assert [v.version for v in key.versions] == sorted(self.model)
        for version in key.versions:
            known = self.model[version.version]
            assert (version.state, version.alongside) == (known.state, known.alongside)
            assert version.trusted is not known.compromised
            assert (version.ever_compromised, version.compromised_since) == (
                known.compromised,
                known.since,
            )

    @invariant()
    def each_compromise_is_found_once_and_listed(self) -> None:
        if not hasattr(self, "store"):
            return
        compromised = sorted(n for n, version in self.model.items() if version.compromised)
        found = self.store.findings.list(FindingFilter(is_open=True), PageRequest()).items
        assert sorted(f.subject for f in found) == sorted(f"release/{n}" for n in compromised)
        assert [v.version for v in self.store.keys.compromised()] == compromised

    @invariant()
    def every_signature_on_record_was_by_a_version_that_was_active(self) -> None:
        if not hasattr(self, "store"):
            return
        query = "SELECT version FROM signatures ORDER BY seq"
        rows = self.store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
        assert list(rows) == self.signed


def _by(number: int, what: int) -> Statement:
    return replace(a_statement(what), version=number)


def run(urls: Iterator[str], *, examples: int) -> None:
    machine = type("Machine", (LifeMachine,), {"new_url": urls})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=20, deadline=None)
    )


def test_a_key_lives_as_the_model_on_sqlite(migrated_file: Path, tmp_path: Path) -> None:
    def urls() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            path = tmp_path / f"{number}.db"
            shutil.copyfile(migrated_file, path)
            yield f"sqlite:///{path}"

    run(urls(), examples=12)


def test_a_key_lives_as_the_model_on_postgresql(
    postgres_server: PostgresServer, migrated_template: str
) -> None:
    made = []

    def urls() -> Iterator[str]:
        while True:
            made.append(postgres_server.create_database(migrated_template))
            yield postgres_server.url(made[-1])

    run(urls(), examples=3)
    for name in made:
        postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
