"""Append, crash and recovery of a log, against a model that is a list."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
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

from service.domain.errors import LogUnavailableError
from service.domain.log import Integrated, LogName
from service.operations.log import SignatureLog
from service.store import Store
from service.store.log_trees import _integrate
from service.translog.checkpoints import Checkpoint
from service.translog.notes import Note
from tests.support.clocks import JumpingClock
from tests.support.logged import assert_included
from tests.support.logs import make_log, make_log_key, new_signer
from tests.support.merkle import slow_root
from tests.support.postgres import PostgresServer
from tests.support.records import a_statement, an_intent, make_key, sign

LOG = LogName.SIGNATURES
NAME = "log.example.test"


class CrashError(Exception):
    pass


class LogMachine(RuleBasedStateMachine):
    """One log, and processes that die at every place. `new_store` makes an empty database."""

    new_url: ClassVar[Iterator[str]]
    clock: ClassVar[JumpingClock | None] = None
    """The database's own, where it can be made to jump."""

    @initialize()
    def begin(self) -> None:
        self.url = next(type(self).new_url)
        self.outside = Path(tempfile.mkdtemp(prefix="log"))
        self.signer = new_signer()
        self.store = Store(self.url)
        make_key(self.store)
        make_log_key(self.store, self.signer)
        self.log = self.new_log()
        self.log.names.tree(LOG)
        self.entries: list[bytes] = []
        self.ids: list[str] = []
        self.names = iter(range(10_000))

    def new_log(self) -> SignatureLog:
        return make_log(self.store, self.signer, self.outside)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.outside)

    # --- what happens -------------------------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def record(self, count: int) -> None:
        names = [str(next(self.names)) for _ in range(count)]
        intents = [
            an_intent(a_statement(n), request_id=names[0], item=i) for i, n in enumerate(names)
        ]
        for done in sign(self.store, *intents):
            assert done.signature is not None
            self.entries.append(done.signature.log_entry)
            self.ids.append(done.signature.id)

    @rule()
    def extend(self) -> None:
        if self.signer.is_away:
            before = self.store.log_reader.newest(LOG)
            with suppress(LogUnavailableError):  # not where there was nothing to sign
                self.log.extend(LOG, seconds=20)
            assert self.store.log_reader.newest(LOG) == before
            return
        self.log.extend(LOG, seconds=20)
        self.check_that_everything_is_proven()

    @rule(limit=st.integers(1, 5))
    def die_after_integration(self, limit: int) -> None:
        self.integrated(limit)

    @rule(limit=st.integers(1, 5))
    def die_within_integration(self, limit: int) -> None:
        before = self.store.log_writer.tree(LOG)
        with pytest.raises(CrashError):
            self.store._database.write(lambda c: self.integrate_and_crash(c, limit))
        assert self.store.log_writer.tree(LOG) == before

    def integrate_and_crash(self, connection: object, limit: int) -> None:
        _integrate(LOG, "dead", 0, limit, connection)  # type: ignore[arg-type]
        raise CrashError

    @precondition(lambda self: not self.signer.is_away)
    @rule(is_kept=st.booleans())
    def die_after_signing(self, *, is_kept: bool) -> None:
        tree = self.integrated(100).tree
        head = self.log.sign(tree)
        if is_kept:
            self.log.guard.keep(LOG, head)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.url)
        self.log = self.new_log()

    @rule(is_away=st.booleans())
    def move_the_token(self, *, is_away: bool) -> None:
        self.signer.is_away = is_away

    @precondition(lambda self: self.clock is not None)
    @rule(days=st.sampled_from([-4000, -1, 0, 1, 4000]), seconds=st.integers(-90, 90))
    def set_the_clock(self, days: int, seconds: int) -> None:
        assert self.clock is not None
        self.clock.ahead = days * 86_400.0 + seconds

    def integrated(self, limit: int) -> Integrated:
        # The lease of a dead process: run out at once, so that no example waits.
        done = self.store.log_writer.integrate(LOG, owner="dead", seconds=0, limit=limit)
        assert done is not None
        return done

    # --- what always holds --------------------------------------------------------------------

    def check_that_everything_is_proven(self) -> None:
        proofs = self.log.prove(self.ids)
        assert len(proofs) == len(self.ids)
        for index, (one, entry) in enumerate(zip(self.ids, self.entries, strict=True)):
            assert (proofs[one].index, proofs[one].entry) == (index, entry)
            assert_included(proofs[one])

    @invariant()
    def the_tree_is_that_of_the_first_entries(self) -> None:
        if not hasattr(self, "store"):
            return
        tree = self.store.log_writer.tree(LOG)
        assert tree is not None
        leaves = self.store.log_reader.entries(tree.id, start=0, count=tree.size + 1)
        assert list(leaves) == self.entries[: tree.size]
        assert tree.root == slow_root(self.entries[: tree.size])
        queued = "SELECT count(*) FROM log_queue WHERE log = 'signatures'"
        left = self.store._database.read(lambda c: c.exec_driver_sql(queued).scalar_one())
        assert tree.size + left == len(self.entries)
        assert tree.signed_size <= tree.size

    @invariant()
    def no_leaf_is_older_than_the_one_before_it(self) -> None:
        if not hasattr(self, "store"):
            return
        query = "SELECT at FROM log_leaves ORDER BY tree_id, position"
        times = self.store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
        assert list(times) == sorted(times)

    @invariant()
    def nothing_was_ever_signed_but_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        for message in self.signer.seen:
            head = Checkpoint.parse(message.decode())
            assert head.root == slow_root(self.entries[: head.size])
        newest = self.store.log_reader.newest(LOG)
        if newest is not None:
            shown = Checkpoint.parse(Note.parse(newest.note).unverified_text)
            assert (shown.origin, shown.size, shown.root) == (NAME, newest.size, newest.root)


def run(urls: Iterator[str], *, examples: int, clock: JumpingClock | None = None) -> None:
    machine = type("Machine", (LogMachine,), {"new_url": urls, "clock": clock})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=examples, stateful_step_count=15, deadline=None),
    )


def test_the_log_is_the_model_on_sqlite(migrated_file: Path, tmp_path: Path) -> None:
    def urls() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            path = tmp_path / f"{number}.db"
            shutil.copyfile(migrated_file, path)
            yield f"sqlite:///{path}"

    clock = JumpingClock()
    with clock.in_place():
        run(urls(), examples=25, clock=clock)


def test_the_log_is_the_model_on_postgresql(
    postgres_server: PostgresServer, migrated_template: str
) -> None:
    made = []

    def urls() -> Iterator[str]:
        while True:
            made.append(postgres_server.create_database(migrated_template))
            yield postgres_server.url(made[-1])

    run(urls(), examples=5)
    for name in made:
        postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
