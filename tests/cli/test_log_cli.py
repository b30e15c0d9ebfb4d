"""`sealwright log` against a log that listens, and against one that lies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask

from service.domain.callers import Role
from service.domain.log import LogName
from service.domain.public_keys import public_key
from service.operations import Keys, Records
from service.operations.log import ReadAuditLog, ReadLog, SignatureLog
from service.store import Store
from service.web import create_app
from tests.cli.conftest import Shell
from tests.support.logs import UnsafeSoftwareSigner, make_log, make_log_key, new_signer
from tests.support.operations import World
from tests.support.records import a_statement, an_intent, make_key, sign

SIZE = 260


@pytest.fixture
def stored(sqlite_store_url: str) -> Iterator[Store]:
    store = Store(sqlite_store_url)
    yield store
    store.close()


@pytest.fixture
def signer() -> UnsafeSoftwareSigner:
    return new_signer()


@pytest.fixture
def logs(stored: Store, signer: UnsafeSoftwareSigner, tmp_path: Path) -> SignatureLog:
    make_key(stored)
    make_log_key(stored, signer)
    log = make_log(stored, signer, tmp_path / "outside")
    sign(stored, *(an_intent(a_statement(n), item=n) for n in range(SIZE)))
    log.extend(LogName.SIGNATURES, seconds=20)
    log.extend(LogName.AUDIT, seconds=20)
    return log


class Served:
    """Reads of a log, of which the answers of one path may be replaced."""

    def __init__(self, store: Store, logs: SignatureLog) -> None:
        self.store = store
        self.logs = logs
        self.reads = ReadLog(store.log_reader, store.cosignatures)
        self.instead: dict[str, bytes] = {}

    def checkpoint(self, log: LogName, *, name: str | None = None, cosigned: bool = False) -> str:
        told = self.instead.get("checkpoint")
        return self.reads.checkpoint(log, name=name) if told is None else told.decode()

    def tile(self, log: LogName, path: str, *, name: str | None = None) -> bytes:
        told = self.instead.get(path)
        return self.reads.tile(log, path, name=name) if told is None else told

    def grow_by(self, count: int) -> None:
        new = [an_intent(a_statement(f"m{n}"), request_id="m", item=n) for n in range(count)]
        sign(self.store, *new, owner="m")
        self.logs.extend(LogName.SIGNATURES, seconds=20)


@pytest.fixture
def served(stored: Store, logs: SignatureLog) -> Served:
    return Served(stored, logs)


@pytest.fixture
def app(world: World, stored: Store, logs: SignatureLog, served: Served) -> Flask:
    reads = cast("Any", served)
    operations = replace(
        world.operations,
        log=reads,
        audit_log=ReadAuditLog(reads),
        records=Records(stored.journal, stored.outbox, logs.prove),
        keys=Keys(stored.keys, cast("Any", world.tokens)),
    )
    return create_app(operations, version="1.2.3")


@pytest.fixture
def pem(stored: Store, logs: SignatureLog, tmp_path: Path) -> str:
    key = stored.keys.get("log")
    assert key is not None
    file = tmp_path / "log.pem"
    file.write_text(public_key(key.versions[0].public_key).pem())
    return str(file)


@pytest.fixture
def other_pem(tmp_path: Path) -> str:
    file = tmp_path / "other.pem"
    file.write_text(public_key(new_signer().generate()).pem())
    return str(file)


def test_a_sound_log_is_verified_entry_by_entry(shell: Shell, pem: str, other_pem: str) -> None:
    done = shell("log", "verify", "--key", pem, "--json", role=None)
    assert done.code == 0
    assert done.json["log"] == "log.example.test"
    assert done.json["entries"] == SIZE
    assert shell("log", "verify", role=None).code == 0
    assert shell("log", "verify", "--key", other_pem, role=None).code == 1
    assert shell("log", "verify", "--key", other_pem, "--key", pem, role=None).code == 0
    assert shell("log", "verify", "--name", "another.example", role=None).code == 1
    audit = shell("log", "verify", "--audit", "--json", role=Role.AUDITOR)
    assert audit.json["log"] == "audit.log.example.test"
    assert shell("log", "verify", "--audit", role=Role.BUILDER).code == 3


@pytest.mark.parametrize("path", ["tile/entries/000", "tile/0/001.p/4", "tile/1/000.p/1"])
def test_a_log_that_serves_something_else_is_not_verified(
    shell: Shell, served: Served, path: str
) -> None:
    honest = served.reads.tile(LogName.SIGNATURES, path)
    served.instead[path] = honest[:-1] + bytes([honest[-1] ^ 1])
    done = shell("log", "verify", role=None)
    assert (done.code, done.out) == (1, "")
    assert "NOT verified" in done.err


def test_one_file_proves_an_entry_offline(
    shell: Shell, stored: Store, pem: str, other_pem: str, tmp_path: Path
) -> None:
    entries = stored.log_reader.entries(first_tree(stored), start=7, count=1)
    query = "SELECT signature_id FROM log_entries ORDER BY seq LIMIT 1 OFFSET 7"
    signature = stored._database.read(lambda c: c.exec_driver_sql(query).scalar_one())
    for arguments in ((signature,), ("--index", "7")):
        file = tmp_path / "x.tlog-proof"
        role = Role.AUDITOR if arguments[0] == signature else None
        assert shell("log", "prove", *arguments, "-o", str(file), role=role).code == 0
        offline = ("log", "verify", "--proof", str(file), "--key")
        done = shell(*offline, pem, "--json", role=None)
        assert done.code == 0
        assert (done.json["index"], done.json["entry"]) == (7, entries[0].decode())
        assert shell(*offline, other_pem, role=None).code == 1
        assert shell(*offline, pem, "--name", "other.example", role=None).code == 1
        content = file.read_text()
        file.write_text(content.replace("index 7", "index 8"))
        assert shell(*offline, pem, role=None).code == 1
        file.write_text("nonsense")
        assert shell(*offline, pem, role=None).code == 1
    assert shell("log", "verify", "--proof", str(file), role=None).code == 2
    assert shell("log", "prove", "-o", str(file), role=None).code == 2
    assert shell("log", "prove", "--index", str(SIZE), "-o", str(file), role=None).code == 4


def first_tree(store: Store) -> int:
    tree = store.log_writer.tree(LogName.SIGNATURES)
    assert tree is not None
    return tree.id


def test_a_monitor_sees_a_log_grow_and_remembers(
    shell: Shell, served: Served, pem: str, tmp_path: Path
) -> None:
    state = str(tmp_path / "state.json")
    watch = ("log", "monitor", "--state", state, "--key", pem, "--json")
    assert shell(*watch, role=None).json["new"] == SIZE
    assert shell(*watch, role=None).json["new"] == 0
    served.grow_by(3)
    assert shell(*watch, role=None).json["new"] == 3
    assert not (tmp_path / "state.json.evidence").exists()


@pytest.mark.parametrize("how", ["rolled back", "forked", "forked and grown"])
def test_a_monitor_keeps_evidence_of_a_log_that_is_not_one(
    shell: Shell, served: Served, tmp_path: Path, how: str
) -> None:
    state = tmp_path / "state.json"
    early = served.reads.checkpoint(LogName.SIGNATURES)
    served.grow_by(2)
    assert shell("log", "monitor", "--state", str(state), role=None).code == 0
    seen = json.loads(state.read_text())
    if how == "rolled back":
        served.instead["checkpoint"] = early.encode()
    else:
        # The same key signs a head that leads elsewhere: what a log must never do.
        if how == "forked and grown":
            served.grow_by(1)
        tree = served.store.log_writer.tree(LogName.SIGNATURES)
        assert tree is not None
        forged = served.logs.sign(replace(tree, root=bytes(32)))
        served.instead["checkpoint"] = forged.note.encode()
    done = shell("log", "monitor", "--state", str(state), role=None)
    assert done.code == 1, done.out
    evidence = json.loads((tmp_path / "state.json.evidence").read_text())
    assert evidence["seen"] == seen["checkpoint"]
    assert evidence["shown"].encode() == served.instead["checkpoint"]
    assert json.loads(state.read_text()) == seen


def test_a_state_that_no_monitor_wrote_is_refused(shell: Shell, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"size": 3}')
    assert shell("log", "monitor", "--state", str(state), role=None).code == 1


def test_a_monitor_that_looks_at_registries_remembers_every_signature_of_the_log(
    shell: Shell, served: Served, pem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registries = tmp_path / "registries.yaml"
    registries.write_text("registries: []")
    monkeypatch.setenv("SEALWRIGHT_REGISTRIES_FILE", str(registries))
    state, index = tmp_path / "state.json", tmp_path / "state.json.signatures"
    watch = ("log", "monitor", "--state", str(state), "--json")
    look = (*watch, "--signer", pem, "--repository", "registry.example/team/app")
    # The state is older than the index.
    assert shell(*watch, role=None).code == 0
    done = shell(*look, role=None)
    assert (done.code, len(done.json["unanswered"])) == (4, 1)  # nobody could be asked
    whole = index.read_bytes()
    assert len(whole) == 32 * SIZE
    # It may be lost, cut off, or further than the state: the log is read again.
    for kept in (b"", whole[:-7], whole + bytes(64)):
        index.write_bytes(kept)
        assert shell(*look, role=None).json["new"] == 0
        assert index.read_bytes() == whole
    served.grow_by(2)
    assert shell(*look, role=None).json["new"] == 2
    assert index.read_bytes().startswith(whole)
    assert len(index.read_bytes()) == 32 * (SIZE + 2)
    assert shell(*watch, "--audit", "--repository", "x/y", role=Role.AUDITOR).code == 2


def test_a_monitor_that_reads_the_log_again_sees_that_it_was_changed(
    shell: Shell, served: Served, pem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registries = tmp_path / "registries.yaml"
    registries.write_text("registries: []")
    monkeypatch.setenv("SEALWRIGHT_REGISTRIES_FILE", str(registries))
    state = tmp_path / "state.json"
    watch = ("log", "monitor", "--state", str(state), "--json")
    assert shell(*watch, role=None).code == 0
    honest = served.reads.tile(LogName.SIGNATURES, "tile/entries/000")
    served.instead["tile/entries/000"] = honest[:-1] + bytes([honest[-1] ^ 1])
    # What was seen before is not read again without need, and is where it is needed.
    assert shell(*watch, role=None).code == 0
    look = (*watch, "--signer", pem, "--repository", "registry.example/team/app")
    assert shell(*look, role=None).code == 1
    assert (tmp_path / "state.json.evidence").exists()


def test_a_log_that_was_closed_is_still_verified_whole(
    shell: Shell, stored: Store, served: Served, pem: str
) -> None:
    for log in LogName:
        tree = stored.log_writer.tree(log)
        assert tree is not None
        stored.log_recovery.close(tree)
    assert shell("log", "verify", "--key", pem, role=None).code == 2  # there is no newest
    closed = ("log", "verify", "--key", pem, "--json", "--tree")
    done = shell(*closed, "log.example.test", role=None)
    assert (done.code, done.json["entries"]) == (0, SIZE)
    audit = shell(*closed, "audit.log.example.test", "--audit", role=Role.AUDITOR)
    assert audit.code == 0
    assert shell(*closed, "another.example", role=None).code != 0
    assert shell(*closed, "log.example.test", "--audit", role=Role.AUDITOR).code != 0
    assert shell(*closed, "audit.log.example.test", "--audit", role=Role.BUILDER).code == 3
