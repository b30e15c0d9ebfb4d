"""Step 10 on real stores: everything on record gets into the log, once, and is proven."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from service.domain.audit import AuditEvent
from service.domain.clock import SystemClock
from service.domain.errors import (
    HSMUnavailableError,
    LogRolledBackError,
    LogUnavailableError,
    ServiceError,
)
from service.domain.keys import Scheme
from service.domain.log import LogName, LogProof
from service.domain.public_keys import public_key
from service.domain.signing import Signature
from service.operations.log import RederiveLogs, SignatureLog, TendLogs
from service.operations.log.rounds import SharedRounds
from service.store import Store
from service.translog.checkpoints import open_checkpoint, rekor_origin
from service.translog.logged import log_id, promise_message
from service.translog.proofs import CheckedProofs
from service.translog.tiles import GrowingNodes
from tests.support.clocks import JumpingClock
from tests.support.logged import assert_included
from tests.support.logs import UnsafeSoftwareSigner, make_log, make_log_key, new_signer
from tests.support.merkle import slow_root
from tests.support.records import a_statement, an_intent, make_key, sign

LOG = LogName.SIGNATURES
SECONDS = 60.0


def recorded(store: Store, count: int, name: str = "s", owner: str = "own") -> list[Signature]:
    """Put signatures on record as step 9 does."""
    intents = [an_intent(a_statement(f"{name}{n}"), request_id=name, item=n) for n in range(count)]
    return [done.signature for done in sign(store, *intents, owner=owner) if done.signature]


def scalar(store: Store, query: str) -> int:
    return int(store._database.read(lambda c: c.exec_driver_sql(query).scalar_one()))


def every_leaf(store: Store, log: LogName = LOG) -> list[bytes]:
    tree = store.log_writer.tree(log)
    assert tree is not None
    return list(store.log_reader.entries(tree.id, start=0, count=tree.size))


def log_spki(store: Store) -> bytes:
    key = store.keys.get("log")
    assert key is not None
    return key.versions[0].public_key


@pytest.fixture
def signer() -> UnsafeSoftwareSigner:
    return new_signer()


@pytest.fixture
def log(store: Store, signer: UnsafeSoftwareSigner, tmp_path: Path) -> SignatureLog:
    make_key(store)
    make_log_key(store, signer)
    return make_log(store, signer, tmp_path / "outside")


def proof_of(result: Signature | ServiceError) -> LogProof:
    assert isinstance(result, Signature), result
    assert result.log is not None
    return result.log


def test_without_a_key_there_is_no_log_and_what_was_recorded_becomes_its_first_leaves(
    store: Store, signer: UnsafeSoftwareSigner, tmp_path: Path
) -> None:
    make_key(store)
    log = make_log(store, signer, tmp_path)
    log.require()
    early = recorded(store, 3)
    assert log.proven(early, are_new=True) == early
    assert all(one.log is None for one in early)
    make_log_key(store, signer)
    late = recorded(store, 2, "late")
    proofs = [proof_of(one) for one in log.proven([*late, *early], are_new=False)]
    assert [proof.index for proof in proofs] == [3, 4, 0, 1, 2]
    assert every_leaf(store) == [one.log_entry for one in (*early, *late)]


def test_an_entry_is_proven_by_both_checkpoints_of_one_head(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    spki = log_spki(store)
    for result in log.proven(recorded(store, 5), are_new=True):
        proof = proof_of(result)
        assert isinstance(result, Signature)
        assert proof.entry == result.log_entry
        assert_included(proof)
        name = "log.example.test"
        plain = open_checkpoint(proof.checkpoint, origin=name, name=name, spki=spki)
        shown = open_checkpoint(
            proof.rekor_checkpoint, origin=rekor_origin(name, proof.tree_id), name=name, spki=spki
        )
        assert (plain.size, plain.root) == (shown.size, shown.root) == (5, proof.root)
        assert proof.root == slow_root(every_leaf(store))
        assert proof.log_id == log_id(spki)


def test_a_batch_costs_one_checkpoint(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    assert len(log.proven(recorded(store, 1000), are_new=True)) == 1000
    assert len(signer.seen) == 2
    assert scalar(store, "SELECT count(*) FROM log_checkpoints") == 1


def test_the_same_entry_has_the_same_proof_however_the_log_has_grown(
    store: Store, log: SignatureLog
) -> None:
    first = recorded(store, 2)
    before = log.proven(first, are_new=True)
    log.proven(recorded(store, 300, "more"), are_new=True)
    assert log.proven(first, are_new=False) == before


def test_what_was_kept_of_another_store_is_read_anew(store: Store, log: SignatureLog) -> None:
    signatures = recorded(store, 4)
    proofs = log.proven(signatures, are_new=True)
    trees = log.prove._trees
    for tree_id, size in trees._kept:
        nodes = trees._nodes[tree_id] = GrowingNodes(
            lambda level, start, count: [bytes(32)] * count
        )
        trees._kept[tree_id, size] = CheckedProofs(size, bytes(32), nodes.at(size))
    assert log.proven(signatures, are_new=False) == proofs


def test_looking_again_signs_nothing(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    made = recorded(store, 2)
    log.proven(made, are_new=True)
    seen = len(signer.seen)
    log.proven(made, are_new=False)
    assert log.extend(LOG, seconds=SECONDS)
    assert len(signer.seen) == seen


def test_audit_events_are_a_log_of_their_own_with_its_own_name(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    log.extend(LogName.AUDIT, seconds=SECONDS)
    bodies = every_body(store)
    assert every_leaf(store, LogName.AUDIT) == bodies
    assert bodies
    head = store.log_reader.newest(LogName.AUDIT)
    assert head is not None
    assert head.note.startswith("audit.log.example.test\n")
    assert head.rekor_note is None
    store.audit.append([AuditEvent("x", "somebody", "x" * 70_000)])
    log.extend(LogName.AUDIT, seconds=SECONDS)
    (long_one,) = every_leaf(store, LogName.AUDIT)[len(bodies) :]
    assert long_one.startswith(b'{"bytes":70')
    tree = store.log_writer.tree(LogName.AUDIT)
    assert tree is not None
    assert tree.root == slow_root(every_leaf(store, LogName.AUDIT))


def every_body(store: Store) -> list[bytes]:
    query = "SELECT body FROM audit_events ORDER BY seq"
    return [
        bytes(b) for b in store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
    ]


# --- what fails -------------------------------------------------------------------------------


def test_with_the_log_key_away_nothing_is_proven_and_signing_stops_until_it_is_back(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    made = recorded(store, 2)
    log.require()
    signer.is_away = True
    for result in log.proven(made, are_new=True):
        assert isinstance(result, LogUnavailableError)
    with pytest.raises(LogUnavailableError, match="token is away"):
        log.require()
    signer.is_away = False
    log.require()
    assert [proof_of(one).index for one in log.proven(made, are_new=False)] == [0, 1]


def test_without_an_active_version_of_its_key_the_log_stops(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    log.proven(recorded(store, 1), are_new=True)
    change = "UPDATE key_versions SET state = '{}' WHERE key = 'log'"
    store._database.write(lambda c: c.exec_driver_sql(change.format("suspended")).rowcount)
    (result,) = log.proven(recorded(store, 1, "late"), are_new=True)
    assert isinstance(result, LogUnavailableError)
    assert "active" in str(result)
    store._database.write(lambda c: c.exec_driver_sql(change.format("active")).rowcount)
    log.require()


def test_an_entry_that_was_proven_keeps_its_proof_while_the_log_is_away(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    (old,) = recorded(store, 1)
    (proven,) = log.proven([old], are_new=True)
    (new,) = recorded(store, 1, "new")
    signer.is_away = True
    answers = log.proven([old, new], are_new=False)
    assert answers[0] == proven
    assert isinstance(answers[1], LogUnavailableError)


def test_a_head_by_a_dead_owner_is_signed_by_the_next(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    made = recorded(store, 2)
    log.names.tree(LOG)
    done = store.log_writer.integrate(LOG, owner="dead", seconds=0.2, limit=100)
    assert done is not None
    assert done.may_sign
    assert [proof_of(one).tree_size for one in log.proven(made, are_new=True)] == [2, 2]


def test_whoever_waits_for_another_process_gives_up_in_time(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    recorded(store, 1)
    log.names.tree(LOG)
    assert store.log_writer.integrate(LOG, owner="slow", seconds=60, limit=100) is not None
    with pytest.raises(LogUnavailableError, match="in time"):
        log.extend(LOG, seconds=0.1)


def test_a_checkpoint_of_a_tree_that_is_not_committed_is_not_published(
    store: Store, log: SignatureLog
) -> None:
    log.proven(recorded(store, 2), are_new=True)
    head = store.log_reader.newest(LOG)
    assert head is not None
    for wrong in (replace(head, size=3), replace(head, root=bytes(32))):
        with pytest.raises(ValueError, match="never committed"):
            store.log_writer.publish(wrong, owner="x")
    store.log_writer.publish(head, owner="x")
    assert scalar(store, "SELECT count(*) FROM log_checkpoints") == 1


@pytest.mark.parametrize("hours", [-30_000, -1, 1, 30_000])
def test_a_clock_that_jumps_keeps_nobody_from_signing_and_no_two_trees_have_one_size(
    sqlite_store_url: str, signer: UnsafeSoftwareSigner, tmp_path: Path, hours: int
) -> None:
    clock = JumpingClock()
    with clock.in_place():
        store = Store(sqlite_store_url)
        make_key(store)
        make_log_key(store, signer)
        ours, theirs = (make_log(store, signer, tmp_path / "outside") for _ in range(2))
        first = proof_of(ours.proven(recorded(store, 1), are_new=True)[0])

        def jump_and_let_another_sign() -> None:
            signer.before = lambda: None
            clock.ahead = 3600.0 * hours
            proven = theirs.proven(recorded(store, 1, "theirs", owner="theirs"), are_new=True)
            later.append(proof_of(proven[0]))

        # The claim to sign is ours; the clock jumps while the token is at it.
        later: list[LogProof] = []
        signer.before = jump_and_let_another_sign
        late = proof_of(ours.proven(recorded(store, 1, "ours"), are_new=True)[0])
        assert (first.index, late.index, later[0].index) == (0, 1, 2)
        assert first.integrated_time <= late.integrated_time <= later[0].integrated_time
        promise = ours.promised(later[0]).promise
        assert promise is not None
        assert promise.integrated_time >= later[0].integrated_time
        for roots in heads_signed(signer, "log.example.test").values():
            assert len(roots) == 1
        assert list(RederiveLogs(store.log_reader, store.log_reader)()) == []
        store.close()


# --- promises ---------------------------------------------------------------------------------


def test_a_promise_is_made_once_and_verifies(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    (result,) = log.proven(recorded(store, 1), are_new=True)
    proof = proof_of(result)
    promised = log.promised(proof)
    again = log.promised(proof)
    assert again.promise == promised.promise
    assert promised.promise is not None
    message = promise_message(
        proof.entry,
        index=proof.index,
        log_id=promised.promise.log_id,
        integrated_time=promised.promise.integrated_time,
    )
    public_key(log_spki(store)).verify(
        Scheme.ECDSA_P256_SHA256, message, promised.promise.signature
    )
    assert isinstance(result, Signature)
    (looked,) = log.proven([result], are_new=False)
    assert proof_of(looked).promise == promised.promise
    assert log.promised(proof_of(looked)) == proof_of(looked)


# --- several at once --------------------------------------------------------------------------


def at_once(count: int, work: Callable[[int], None]) -> None:
    gate = threading.Barrier(count)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        gate.wait()
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001  # told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def heads_signed(signer: UnsafeSoftwareSigner, origin: str) -> dict[bytes, set[bytes]]:
    """Return the roots that were ever signed, by size."""
    found: dict[bytes, set[bytes]] = {}
    for message in signer.seen:
        lines = message.split(b"\n")
        if lines[0] == origin.encode():
            found.setdefault(lines[1], set()).add(lines[2])
    return found


def test_threads_share_rounds_and_each_gets_its_proof(
    store: Store, signer: UnsafeSoftwareSigner, log: SignatureLog
) -> None:
    def work(number: int) -> None:
        for turn in range(5):
            made = recorded(store, 2, f"t{number}-{turn}", owner=f"own{number}")
            for result in log.proven(made, are_new=True):
                assert_included(proof_of(result))

    at_once(6, work)
    assert all(len(roots) == 1 for roots in heads_signed(signer, "log.example.test").values())
    assert len(set(every_leaf(store))) == 60


def test_processes_that_race_never_sign_two_trees_of_one_size(
    store: Store, store_url: str, signer: UnsafeSoftwareSigner, log: SignatureLog, tmp_path: Path
) -> None:
    # Each with a store and integrator of its own, as a process has; one token for all.
    others = [Store(store_url) for _ in range(3)]
    logs = [log, *(make_log(other, signer, tmp_path / "outside") for other in others)]

    def work(number: int) -> None:
        mine = (store, *others)[number]
        for turn in range(6):
            made = recorded(mine, 3, f"p{number}-{turn}", owner=f"own{number}")
            for result in logs[number].proven(made, are_new=True):
                assert_included(proof_of(result))

    at_once(4, work)
    assert all(len(roots) == 1 for roots in heads_signed(signer, "log.example.test").values())
    leaves = every_leaf(store)
    assert len(leaves) == len(set(leaves)) == 72
    tree = store.log_writer.tree(LOG)
    assert tree is not None
    assert tree.root == slow_root(leaves)
    assert scalar(store, "SELECT count(*) FROM log_queue WHERE log = 'signatures'") == 0
    for other in others:
        other.close()


def test_logs_begun_at_once_are_one(
    store: Store, signer: UnsafeSoftwareSigner, tmp_path: Path
) -> None:
    make_key(store)
    make_log_key(store, signer)
    logs = [make_log(store, signer, tmp_path, name=None) for _ in range(4)]
    trees = []
    at_once(4, lambda number: trees.append(logs[number].names.tree(LOG)))
    assert len({(tree.id, tree.name) for tree in trees if tree is not None}) == 1
    assert trees[0] is not None
    assert trees[0].name.endswith(".sealwright.internal")


def test_a_round_that_fails_fails_for_those_who_waited_for_it() -> None:
    entered, go = threading.Semaphore(0), threading.Event()
    answers = iter([None, HSMUnavailableError("away"), None])

    def run(deadline: float) -> None:
        answer = next(answers)
        entered.release()
        assert go.wait(SECONDS)
        if answer is not None:
            raise answer

    rounds = SharedRounds(run, SystemClock())
    results: list[object] = []

    def join() -> None:
        try:
            rounds.join(SystemClock().monotonic() + SECONDS)
            results.append(None)
        except ServiceError as error:
            results.append(type(error))

    first = threading.Thread(target=join)
    first.start()
    assert entered.acquire(timeout=SECONDS)
    followers = [threading.Thread(target=join) for _ in range(3)]
    for thread in followers:
        thread.start()
    while len(rounds._changed._waiters) < 3:  # type: ignore[attr-defined]
        pass
    go.set()
    for thread in (first, *followers):
        thread.join()
    assert results.count(None) == 1
    assert results.count(HSMUnavailableError) == 3
    assert rounds.has_failed
    join()
    assert results[-1] is None
    assert not rounds.has_failed


# --- the store put back -----------------------------------------------------------------------


def test_a_store_that_was_put_back_signs_nothing_more(
    sqlite_store_url: str, signer: UnsafeSoftwareSigner, tmp_path: Path
) -> None:
    path = Path(sqlite_store_url.removeprefix("sqlite:///"))
    store = Store(sqlite_store_url)
    make_key(store)
    make_log_key(store, signer)
    log = make_log(store, signer, tmp_path / "outside")
    log.proven(recorded(store, 3), are_new=True)
    store.close()
    backup = {name: (path.parent / name).read_bytes() for name in backup_names(path)}
    store = Store(sqlite_store_url)
    log = make_log(store, signer, tmp_path / "outside")
    log.proven(recorded(store, 4, "lost"), are_new=True)
    # Another machine has signed nothing yet, but looks now and then.
    idle = make_log(store, signer, tmp_path / "idle")
    TendLogs(store.log_writer, idle.extend, idle.guard)()
    store.close()
    for name in backup_names(path):
        (path.parent / name).unlink()
    for name, content in backup.items():
        (path.parent / name).write_bytes(content)
    seen = len(signer.seen)
    store = Store(sqlite_store_url)
    for directory in ("outside", "idle"):
        log = make_log(store, signer, tmp_path / directory)
        for count, name in ((1, "few"), (9, "many")):
            for result in log.proven(recorded(store, count, directory + name), are_new=True):
                assert isinstance(result, LogRolledBackError), result
        with pytest.raises(LogRolledBackError):
            log.require()
    assert len(signer.seen) == seen
    # A machine that knows nothing of what was published cannot tell.
    make_log(store, signer, tmp_path / "new").require()
    store.close()


def backup_names(path: Path) -> list[str]:
    return [p.name for p in path.parent.glob(path.name + "*") if not p.name.endswith(".lock")]


def test_a_checkpoint_that_cannot_be_kept_is_not_published(
    store: Store, signer: UnsafeSoftwareSigner, tmp_path: Path
) -> None:
    make_key(store)
    make_log_key(store, signer)
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a directory")
    log = make_log(store, signer, in_the_way)
    (result,) = log.proven(recorded(store, 1), are_new=True)
    assert isinstance(result, LogUnavailableError)
    assert store.log_reader.newest(LOG) is None


@pytest.mark.parametrize("content", ["", "nonsense", "other.example\n1\nAAAA\n\n— x AAAAAAE=\n"])
def test_an_outside_checkpoint_that_cannot_be_read_stops_the_log(
    store: Store, log: SignatureLog, tmp_path: Path, content: str
) -> None:
    log.proven(recorded(store, 1), are_new=True)
    file = tmp_path / "outside" / "signatures.checkpoint"
    good = file.read_text()
    file.write_text(content)
    (result,) = log.proven(recorded(store, 1, "late"), are_new=True)
    assert isinstance(result, LogRolledBackError)
    file.write_text(good)
    log.require()


# --- everything derived anew ------------------------------------------------------------------


def faults(store: Store) -> list[str]:
    return list(RederiveLogs(store.log_reader, store.log_reader)())


def test_a_sound_store_derives_from_its_records(store: Store, log: SignatureLog) -> None:
    assert faults(store) == []
    for turn in range(3):
        log.proven(recorded(store, 200, f"turn {turn}"), are_new=True)
    log.extend(LogName.AUDIT, seconds=SECONDS)
    recorded(store, 2, "queued")
    assert faults(store) == []


@pytest.mark.parametrize(
    ("table", "change", "fault"),
    [
        ("log_leaves", "UPDATE log_leaves SET hash = {zero} WHERE position = 3", "are not those"),
        ("log_nodes", "UPDATE log_nodes SET hash = {zero} WHERE position = 1", "hash 1 of level 1"),
        ("log_checkpoints", "UPDATE log_checkpoints SET root = {zero}", "another root"),
        ("log_checkpoints", "UPDATE log_checkpoints SET note = rekor_note", "of the log"),
        ("log_entries", "UPDATE log_entries SET entry = {zero} WHERE seq = 2", "are not those"),
        ("log_trees", "UPDATE log_trees SET root = {zero} WHERE log = 'signatures'", "the root"),
        ("log_queue", "DELETE FROM log_queue WHERE log = 'signatures'", "2 recorded entries"),
    ],
)
def test_whatever_was_changed_behind_the_triggers_shows(
    store: Store, log: SignatureLog, table: str, change: str, fault: str
) -> None:
    log.proven(recorded(store, 600), are_new=True)
    recorded(store, 2, "queued")
    is_sqlite = not store._database.is_postgresql
    if is_sqlite:
        triggers = f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"
        names = store._database.read(lambda c: c.exec_driver_sql(triggers).scalars().all())
        statements = [f"DROP TRIGGER {name}" for name in names]
    else:
        statements = [f"ALTER TABLE {table} DISABLE TRIGGER USER"]
    zero = f"x'{'00' * 32}'" if is_sqlite else f"'\\x{'00' * 32}'::bytea"
    for statement in (*statements, change.format(zero=zero)):
        store._database.write(lambda c, s=statement: c.exec_driver_sql(s).rowcount)  # type: ignore[misc]
    found = faults(store)
    assert any(fault in one for one in found), found
