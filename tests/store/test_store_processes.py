"""Several processes on one store: crashes, hand-over, forks. Each runs a small program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from service.domain.audit import AuditEvent
from service.domain.keys import Purpose
from service.domain.log import LogName
from service.domain.pages import PageRequest
from service.ports.store import SignatureFilter
from service.store import Store
from tests.support.merkle import slow_root
from tests.support.records import a_statement, an_intent, make_key, sign

ROOT = Path(__file__).resolve().parents[2]
ANY = SignatureFilter()
FIRST = PageRequest()

PRELUDE = """
import os, signal, sys
from service.domain.audit import AuditEvent
from service.store import Store
from tests.support.records import a_statement, an_intent, an_outcome, sign

store = Store(sys.argv[1])
"""


def start(program: str, url: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program, url, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def run_to_its_end(program: str, url: str, *arguments: str) -> int:
    process = start(program, url, *arguments)
    process.communicate(timeout=60)
    return process.returncode


def until(condition: Callable[[], bool]) -> None:
    """Ask until it holds; the suite's own time-out ends what never does."""
    while not condition():
        pass


def count(store: Store, table: str) -> int:
    query = f"SELECT count(*) FROM {table}"
    return int(store._database.read(lambda c: c.exec_driver_sql(query).scalar_one()))


def test_a_crash_between_intent_and_outcome_is_an_unknown_outcome_until_a_retry(
    store_url: str, store: Store
) -> None:
    make_key(store)
    code = run_to_its_end(
        "store.journal.intend([an_intent(attach=True)], owner='dead', seconds=0.3)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
        store_url,
    )
    assert code == -signal.SIGKILL
    until(lambda: len(store.journal.unknown_outcomes(ANY, FIRST).items) == 1)
    assert store.journal.list(ANY, FIRST).items == ()
    (retry,) = sign(store, an_intent(attach=True, request_id="req_2"))
    assert retry.signature is not None
    assert retry.order is not None
    assert store.journal.unknown_outcomes(ANY, FIRST).items == ()


def test_a_crash_within_a_transaction_leaves_nothing_and_holds_nobody_up(
    store_url: str, store: Store
) -> None:
    make_key(store)
    code = run_to_its_end(
        "from service.store import completion\n"
        "completion.record_framed = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sign(store, an_intent(attach=True))\n",
        store_url,
    )
    assert code == -signal.SIGKILL
    for table in ("signatures", "log_entries", "outbox", "attachments"):
        assert count(store, table) == 0, table
    (control,) = sign(store, an_intent(a_statement(2), request_id="req_2"))
    assert control.signature is not None


def test_processes_that_write_at_once_all_succeed(store_url: str, store: Store) -> None:
    make_key(store)
    program = (
        "sys.stdin.read()\n"
        "for n in range(15):\n"
        "    me = sys.argv[2]\n"
        "    intent = an_intent(a_statement(f'{me}-{n}'), request_id=me, attach=True)\n"
        "    (done,) = sign(store, intent, owner=me)\n"
        "    assert done.signature is not None and done.order is not None\n"
        "    store.audit.append([AuditEvent('x', me, str(n))])\n"
    )
    processes = [start(program, store_url, f"process-{n}") for n in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    codes = [process.wait(60) for process in processes]
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
    assert codes == [0, 0, 0]
    assert count(store, "signatures") == count(store, "log_entries") == 45
    assert count(store, "outbox") == 45


def test_processes_that_race_for_one_statement_get_one_signature(
    store_url: str, store: Store
) -> None:
    make_key(store)
    program = (
        "intents = [an_intent(a_statement(n), request_id=sys.argv[2], item=n) for n in range(20)]\n"
        "store.journal.intend(intents, owner=sys.argv[2], seconds=60)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "for intent in intents:\n"
        "    (done,) = store.journal.complete(\n"
        "        [an_outcome(intent)], owner=sys.argv[2], order_lease_seconds=30)\n"
        "    print(done.signature.id)\n"
    )
    processes = [start(program, store_url, f"req_{n}") for n in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert answers[0] == answers[1] == answers[2]
    assert len(set(answers[0])) == 20
    assert count(store, "signatures") == 20


def test_a_child_after_a_fork_and_its_parent_both_go_on(store_url: str, store: Store) -> None:
    make_key(store)
    code = run_to_its_end(
        "import warnings; warnings.simplefilter('ignore')\n"
        "store.audit.append([AuditEvent('x', 'parent', 'before')])\n"
        "assert store.keys.get('release') is not None\n"
        "child = os.fork()\n"
        "store.audit.append([AuditEvent('x', 'child' if child == 0 else 'parent', 'after')])\n"
        "assert store.keys.get('release') is not None\n"
        "if child == 0:\n"
        "    store.close()\n"
        "    os._exit(0)\n"
        "_, status = os.waitpid(child, 0)\n"
        "store.audit.append([AuditEvent('x', 'parent', 'at the end')])\n"
        "store.close()\n"
        "sys.exit(os.waitstatus_to_exitcode(status))\n",
        store_url,
    )
    assert code == 0
    assert count(store, "audit_events") == 1 + 4  # the key's own event is the first


def test_building_a_store_opens_nothing(store_url: str) -> None:
    code = run_to_its_end(
        "import threading\n"
        "assert threading.active_count() == 1\n"
        "assert store._database._opened is None\n",
        store_url,
    )
    assert code == 0


def test_audit_events_of_one_call_stay_together(store: Store) -> None:
    store.audit.append([AuditEvent("x", "a", str(n)) for n in range(5)])
    assert count(store, "audit_events") == 5


LOG_PRELUDE = """
from pathlib import Path
from service.domain.log import LogName
from service.store import log_trees
from tests.support.logs import make_log, new_signer
from tests.support.records import a_statement

LOG = LogName.SIGNATURES
"""


def test_a_crash_within_integration_leaves_the_queue_and_the_tree_as_they_were(
    store_url: str, store: Store
) -> None:
    make_key(store)
    make_key(store, "log", Purpose.LOG)
    store.log_writer.begin(LogName.SIGNATURES, tree_id=1, name="a.example", key="log")
    sign(store, *(an_intent(a_statement(n), item=n) for n in range(3)))
    code = run_to_its_end(
        LOG_PRELUDE
        + "log_trees.Frontier.load = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        + "store.log_writer.integrate(LOG, owner='dead', seconds=5, limit=100)\n",
        store_url,
    )
    assert code == -signal.SIGKILL
    tree = store.log_writer.tree(LogName.SIGNATURES)
    assert tree is not None
    assert (tree.size, count(store, "log_leaves")) == (0, 0)
    done = store.log_writer.integrate(LogName.SIGNATURES, owner="next", seconds=5, limit=100)
    assert done is not None
    assert (done.tree.size, done.may_sign) == (3, True)


def test_processes_that_integrate_at_once_make_one_tree(store_url: str, store: Store) -> None:
    make_key(store)
    make_key(store, "log", Purpose.LOG)
    store.log_writer.begin(LogName.SIGNATURES, tree_id=1, name="a.example", key="log")
    program = LOG_PRELUDE + (
        "sys.stdin.read()\n"
        "me = sys.argv[2]\n"
        "for n in range(12):\n"
        "    sign(store, an_intent(a_statement(f'{me}-{n}'), request_id=me), owner=me)\n"
        "    done = store.log_writer.integrate(LOG, owner=me, seconds=5, limit=100)\n"
        "    print(done.tree.size, done.tree.root.hex())\n"
    )
    processes = [start(program, store_url, f"process-{n}") for n in range(3)]
    told = [process.communicate(timeout=60)[0].decode().split("\n") for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    roots: dict[str, set[str]] = {}
    for line in (line for lines in told for line in lines if line):
        size, root = line.split()
        roots.setdefault(size, set()).add(root)
    assert all(len(seen) == 1 for seen in roots.values())
    assert count(store, "log_leaves") == count(store, "log_entries") == 36
    entries = store.log_reader.entries(1, start=0, count=100)
    tree = store.log_writer.tree(LogName.SIGNATURES)
    assert tree is not None
    assert tree.root == slow_root(entries)
