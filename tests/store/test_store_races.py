"""Two processes' stores at the same moment: of what only one may have, one has it.

Each store has connections of its own, as replicas do. A race is run again and again, since a
single one may be won by the clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import pytest

from service.domain.errors import LeaseLostError, RequestInProgressError
from service.domain.ids import new_id
from service.domain.jobs import JobKind, NewJob
from service.domain.keys import Purpose
from service.domain.log import LogName
from service.domain.signing import Statement
from service.ports.store import IdempotentRequest
from service.store import Store
from tests.support.records import a_statement, an_intent, an_outcome, make_key, sign

T = TypeVar("T")

ROUNDS = 25
LOG = LogName.SIGNATURES
DEAD = -1.0  # the lease of an owner that died long ago


@dataclass(frozen=True)
class Racers:
    stores: tuple[Store, Store]
    threads: ThreadPoolExecutor

    def __call__(self, run: Callable[[Store, str], T]) -> list[T]:
        """Return what each of two owners got, who ran at once."""
        line = threading.Barrier(2)

        def start(number: int) -> T:
            line.wait()
            return run(self.stores[number], f"owner_{number}")

        return list(self.threads.map(start, range(2)))


@pytest.fixture
def race(store_url: str) -> Iterator[Racers]:
    with (
        closing(Store(store_url)) as one,
        closing(Store(store_url)) as two,
        ThreadPoolExecutor(2) as threads,
    ):
        make_key(one)
        yield Racers((one, two), threads)


def winner(results: list[T | None]) -> T:
    [won] = [result for result in results if result is not None]
    return won


@pytest.mark.parametrize("before", [None, DEAD], ids=["new", "of-the-dead"])
def test_one_gets_a_lease(race: Racers, before: float | None) -> None:
    for number in range(ROUNDS):
        name = f"work {number}"
        if before is not None:
            race.stores[0].leases.acquire(name, owner="dead", seconds=before)
        lease = winner(
            race(
                lambda store, owner, name=name: store.leases.acquire(name, owner=owner, seconds=60)
            )
        )
        for store in race.stores:
            store.leases.renew(lease, seconds=60)


@pytest.mark.parametrize("before", [None, DEAD], ids=["new", "of-the-dead"])
def test_one_runs_the_request_of_an_idempotency_key(race: Racers, before: float | None) -> None:
    for number in range(ROUNDS):

        def begin(
            store: Store, owner: str, *, seconds: float = 60, key: str = f"key {number}"
        ) -> IdempotentRequest | None:
            try:
                return store.idempotency.begin(
                    credential_id="cred", key=key, body_hash="body", owner=owner, seconds=seconds
                )
            except RequestInProgressError:
                return None

        dead = None if before is None else begin(race.stores[0], "dead", seconds=before)
        request = winner(race(begin))
        race.stores[1].idempotency.finish(request, b"results")
        if dead is not None:
            with pytest.raises(LeaseLostError):
                race.stores[0].idempotency.finish(dead, b"of the dead")
        # Whoever comes now gets the same, from either.
        assert winner(race(begin)).results == b"results"


def test_an_order_is_claimed_by_one_and_each_by_somebody(race: Racers) -> None:
    for number in range(ROUNDS):
        intents = [
            an_intent(a_statement(f"{number} {n}"), item=n, request_id=f"req_{number}", attach=True)
            for n in range(4)
        ]
        sign(race.stores[0], *intents, order_seconds=DEAD)
        got = race(lambda store, owner: store.outbox.claim(owner=owner, seconds=60, limit=4))
        # A row that the other has just locked is skipped, and had by the next claim.
        rest = race.stores[0].outbox.claim(owner="next", seconds=60, limit=9)
        ids = [order.id for orders in (*got, rest) for order in orders]
        assert len(ids) == len(set(ids)) == 4


def test_one_may_write_to_an_image_that_two_have_signed(race: Racers) -> None:
    for number in range(ROUNDS):
        statements = [a_statement(number, key=key) for key in ("release", "other")]
        if number == 0:
            make_key(race.stores[0], "other")

        def complete(store: Store, owner: str, said: list[Statement] = statements) -> object:
            mine = said[int(owner[-1])]
            (done,) = sign(store, an_intent(mine, request_id=owner, attach=True), owner=owner)
            assert done.signature is not None
            return done.order

        assert winner(race(complete)) is not None
        # The other's signature is on the same order, and goes with it or after it.
        assert not race.stores[0].outbox.claim(owner="next", seconds=60, limit=9)


def test_one_signature_stands_of_a_statement_that_two_have_signed(race: Racers) -> None:
    for number in range(ROUNDS):

        def complete(store: Store, owner: str, number: int = number) -> str:
            intent = an_intent(a_statement(number), request_id=f"{owner} {number}")
            store.journal.intend([intent], owner=owner, seconds=60)
            (done,) = store.journal.complete(
                [an_outcome(intent)], owner=owner, order_lease_seconds=30
            )
            assert done.signature is not None
            return done.signature.id

        first, second = race(complete)
        assert first == second


def test_a_job_is_made_once_and_claimed_by_one(race: Racers) -> None:
    for number in range(ROUNDS):

        def submit(store: Store, owner: str, key: str = f"key {number}") -> str:
            new = NewJob(
                new_id("job"), JobKind.SIGN, "cred", "builder", "release", b"{}", "body", 3, key
            )
            return store.jobs.submit(new, most_open=ROUNDS + 1).id

        first, second = race(submit)
        assert first == second
        job = winner(race(lambda store, owner: store.jobs.claim(owner=owner, seconds=60)))
        assert job.id == first
        assert race.stores[0].jobs.claim(owner="next", seconds=60) is None


def test_one_may_sign_the_head_of_the_log(race: Racers) -> None:
    make_key(race.stores[0], "log", Purpose.LOG)
    race.stores[0].log_writer.begin(LOG, tree_id=1, name="log.example", key="log")
    for number in range(ROUNDS):
        sign(race.stores[0], an_intent(a_statement(number), request_id=f"req_{number}"))
        got = race(
            lambda store, owner: store.log_writer.integrate(LOG, owner=owner, seconds=60, limit=9)
        )
        done = [each for each in got if each is not None]
        assert [each.tree.size for each in done] == [number + 1] * 2
        assert sorted(each.may_sign for each in done) == [False, True]
        for store_number, each in enumerate(done):
            race.stores[store_number].log_writer.release(each.tree, owner=f"owner_{store_number}")


def test_a_pin_that_both_saw_refused_is_latched_once_for_both(race: Racers) -> None:
    for number in range(ROUNDS):
        race(lambda store, owner, pin=f"pin {number}": store.pins.latch("token", pin))
        seen = race(lambda store, owner, pin=f"pin {number}": store.pins.is_latched("token", pin))
        assert seen == [True, True]
    cleared = race(lambda store, owner: store.pins.clear("token", actor="custodian"))
    assert sorted(cleared) == [False, True]
