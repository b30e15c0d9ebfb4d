"""`sealwright backup` on a real store, a real token, and logs that have published something."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import create_engine

from service.domain.audit import AuditEvent
from service.domain.errors import LogRolledBackError
from service.domain.keys import Algorithm, Key, Purpose
from service.domain.log import LogName, SignedHead
from service.operations.log import RecoverLog, SignatureLog, gather
from service.store import Store
from service.store.migrate import config
from service.store.schema import HEAD
from service.translog.checkpoints import Checkpoint
from service.translog.notes import Note
from service.witnesses import CheckpointFiles
from tests.cli.conftest import Ended, Shell
from tests.support.keyrings import Keyrings
from tests.support.logs import UnsafeSoftwareSigner, make_log, make_log_key, new_signer
from tests.support.records import MOMENT, a_statement, an_intent, make_key, sign
from tests.support.softhsm import SoftHSM

ENDS = ("--end-log", "signatures", "--end-log", "audit")


@dataclass
class Service:
    """A service's own machine: its commands run with its settings."""

    shell: Shell
    store: Store
    signer: UnsafeSoftwareSigner
    log: SignatureLog
    directory: Path

    def __call__(self, *words: str) -> Ended:
        return self.shell("backup", *words, role=None)

    def publish(self, name: str) -> str:
        """Let both logs grow; return the checkpoint of signatures."""
        return self.grow(name).note

    def grow(self, name: str) -> SignedHead:
        intents = [an_intent(a_statement(f"{name}{n}"), request_id=name, item=n) for n in range(3)]
        sign(self.store, *intents, owner=name)
        self.store.audit.append([AuditEvent("x", "somebody", name)])
        for log in LogName:
            self.log.extend(log, seconds=20)
        head = self.store.log_reader.newest(LogName.SIGNATURES)
        assert head is not None
        return head


@pytest.fixture
def service(
    shell: Shell,
    sqlite_store_url: str,
    softhsm: SoftHSM,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Service]:
    token = softhsm.token("backup")
    for name, value in {
        "SEALWRIGHT_STATE_DIR": str(tmp_path / "state"),
        "SEALWRIGHT_DATABASE_URL": sqlite_store_url,
        "SEALWRIGHT_PKCS11_MODULE": str(token.module),
        "SEALWRIGHT_TOKEN_LABEL": token.label,
        "SEALWRIGHT_TOKEN_SERIAL": token.serial,
        "SEALWRIGHT_PIN_FILE": str(token.pin_file),
        "SOFTHSM2_CONF": str(softhsm.conf),
    }.items():
        monkeypatch.setenv(name, value)
    signer = new_signer()
    with closing(Store(sqlite_store_url)) as store, Keyrings().closing as closing_keyrings:
        make_key(store, "elsewhere")
        make_key(store)
        make_log_key(store, signer)
        keyrings = Keyrings(closing=closing_keyrings)
        generated = keyrings([token.config]).generate("ours", Algorithm.EC_P256, None)
        key = Key("ours", Purpose.IMAGE, Algorithm.EC_P256, MOMENT)
        store.keys.create(key, generated, actor="custodian")
        log = make_log(store, signer, tmp_path / "outside")
        made = Service(shell, store, signer, log, tmp_path)
        made.publish("first")
        yield made


@pytest.fixture
def backup(service: Service) -> Path:
    target = service.directory / "backup"
    made = service("create", "--to", str(target))
    assert made.code == 0, made.err
    assert "token backup: copied, without its PIN" in made.out
    return target


@pytest.fixture
def machine(service: Service, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine to restore to."""
    place = service.directory / "machine"
    place.mkdir()
    conf = place / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {place / 'tokens'}\n")
    monkeypatch.setenv("SEALWRIGHT_STATE_DIR", str(place))
    monkeypatch.delenv("SEALWRIGHT_DATABASE_URL")
    monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
    return place


def reseal(backup: Path) -> None:
    """Write the manifest anew for what is there, as somebody could who wants to be believed."""
    file = backup / "manifest.json"
    document = json.loads(file.read_text())
    document["files"] = [
        {
            "path": path.relative_to(backup).as_posix(),
            "size": path.stat().st_size,
            "sha256": sha256(path.read_bytes()).hexdigest(),
        }
        for path in backup.rglob("*")
        if path.is_file() and path != file
    ]
    file.write_text(json.dumps(document))


def checks(ended: Ended) -> dict[str, tuple[str, str]]:
    return {one["what"]: (one["outcome"], one["detail"]) for one in ended.json["checks"]}


def test_a_backup_is_for_its_owner_alone_and_appears_whole(service: Service, backup: Path) -> None:
    files = [path for path in backup.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    folders = [backup, *(path for path in backup.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    pin = Path(os.environ["SEALWRIGHT_PIN_FILE"]).read_bytes()
    assert not any(pin in path.read_bytes() for path in files)
    manifest = json.loads((backup / "manifest.json").read_text())
    (log,) = (one for one in manifest["logs"] if one["log"] == "signatures")
    assert (log["name"], log["size"]) == ("log.example.test", 3)
    tried = service("verify", str(backup))
    assert tried.code == 0, tried.err
    assert "sound    key ours/1: signs" in tried.out
    assert "note     key elsewhere/1: on token, which is not in this backup" in tried.out


def test_nothing_is_written_over_and_nothing_is_left_of_what_failed(
    service: Service, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service("create", "--to", str(backup)).code == 2
    assert service("create", "--to", str(service.directory / "no" / "place")).code == 2
    monkeypatch.setenv("SOFTHSM2_CONF", str(service.directory / "none.conf"))
    before = sorted(service.directory.iterdir())
    failed = service("create", "--to", str(service.directory / "other"))
    assert failed.code == 2
    assert "none.conf cannot be read" in failed.err
    assert sorted(service.directory.iterdir()) == before


def test_without_the_pin_public_halves_are_what_can_be_said(
    service: Service, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEALWRIGHT_PIN_FILE", str(service.directory / "none"))
    tried = service("verify", str(backup), "--json")
    assert tried.code == 0
    assert checks(tried)["key ours/1"] == (
        "sound",
        "its public half is there; with the PIN file it would sign",
    )
    wrong = service.directory / "wrong.pin"
    wrong.write_text("987654321")
    monkeypatch.setenv("SEALWRIGHT_PIN_FILE", str(wrong))
    tried = service("verify", str(backup), "--json")
    assert tried.code == 4
    assert checks(tried)["key ours/1"][0] == "unknown"
    monkeypatch.setenv("SEALWRIGHT_TOKEN_LABEL", "another")
    tried = service("verify", str(backup), "--json")
    assert tried.code == 4
    assert checks(tried)["token backup"] == ("unknown", "the settings name no such token")


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def an_object(backup: Path) -> Path:
    return next(iter(sorted(backup.glob("tokens/*/*.object"))))


def replace_by_link(path: Path) -> None:
    path.rename(path.parent.parent.parent.parent / "moved")
    path.symlink_to(path.parent.parent.parent.parent / "moved")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit in the store": (lambda b: flip(b / "store.sqlite"), "another SHA-256"),
    "a store that was cut": (lambda b: os.truncate(b / "store.sqlite", 4096), "bytes, and not"),
    "a lost object": (lambda b: an_object(b).unlink(), "No such file"),
    "a link in the place of a file": (lambda b: replace_by_link(an_object(b)), "not a plain file"),
    "a file too many": (lambda b: (b / "tokens" / "more").touch(), "not in the manifest"),
    "a manifest that cannot be": (lambda b: (b / "manifest.json").write_text("{}"), "not the"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_found_and_told(service: Service, backup: Path, what: str) -> None:
    harm, told = DAMAGES[what]
    harm(backup)
    tried = service("verify", str(backup), "--json")
    assert tried.code == 1
    assert told in tried.out
    assert service("verify", str(service.directory)).code == 2


def change_log(backup: Path) -> None:
    with closing(sqlite3.connect(backup / "store.sqlite")) as store:
        store.execute("DROP TRIGGER log_leaves_refuses_update")
        store.execute("UPDATE log_leaves SET hash = zeroblob(32) WHERE position = 1")
        store.commit()


def cut_log(backup: Path) -> None:
    """Put a younger checkpoint into the manifest, as if the store had been copied before it."""
    other = backup.parent / "younger"
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["logs"] = json.loads((other / "manifest.json").read_text())["logs"]
    (backup / "manifest.json").write_text(json.dumps(manifest))


def drop_keys(backup: Path) -> None:
    for path in backup.glob("tokens/*/*.object"):
        if path.name != "token.object":
            path.unlink()


@pytest.mark.parametrize(
    ("harm", "what", "told"),
    [
        (change_log, "logs", "are not those of their entries"),
        (cut_log, "log signatures", "a checkpoint over 6 has been published"),
        (drop_keys, "key ours/1", "on record, and not on the token"),
    ],
    ids=["an entry", "a checkpoint", "keys"],
)
def test_a_whole_backup_of_something_unsound_is_not_sound(
    service: Service, backup: Path, harm: Callable[[Path], None], what: str, told: str
) -> None:
    service.publish("younger")
    assert service("create", "--to", str(backup.parent / "younger")).code == 0
    harm(backup)
    reseal(backup)
    tried = service("verify", str(backup), "--json")
    assert tried.code == 1
    outcome, detail = checks(tried)[what]
    assert outcome == "wrong"
    assert told in detail


def test_a_store_of_an_older_program_is_tried_with_the_schema_of_this_one(
    service: Service, backup: Path, machine: Path
) -> None:
    (backup / "store.sqlite").unlink()
    engine = create_engine(f"sqlite:///{backup / 'store.sqlite'}")
    with engine.begin() as connection:
        command.upgrade(config(connection), "r0014")
    engine.dispose()
    file = backup / "manifest.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "schema": "r0014", "logs": []}))
    reseal(backup)
    assert service("verify", str(backup)).code == 0
    assert service("restore", str(backup)).code == 0
    with closing(Store(f"sqlite:///{machine / 'sealwright.db'}")) as store:
        assert store.health.schema().revision == HEAD


def test_a_store_that_a_newer_program_has_migrated_is_left_to_that(
    service: Service, backup: Path, machine: Path
) -> None:
    def migrated(oldest: str) -> None:
        with closing(sqlite3.connect(backup / "store.sqlite")) as store:
            store.execute("UPDATE alembic_version SET version_num = 'r9999'")
            store.execute("UPDATE schema_programs SET oldest = ?", (oldest,))
            store.commit()
        reseal(backup)

    migrated("r9999")
    for words in (("verify",), ("restore", "--nothing-newer")):
        ended = service(*words, str(backup))
        assert ended.code == 4
        assert "needs a program of r9999 or newer" in ended.err
    assert sorted(path.name for path in machine.iterdir() if not path.is_dir()) == ["softhsm2.conf"]
    migrated(HEAD)
    assert service("verify", str(backup)).code == 0


def test_it_is_restored_to_empty_places_and_holds_back_until_somebody_lets_go(
    service: Service, backup: Path, machine: Path
) -> None:
    done = service("restore", str(backup), "--nothing-newer")
    assert done.code == 0, done.err
    assert "restored; signing is stopped until `sealwright maintenance off`" in done.out
    assert {path.name for path in machine.iterdir()} >= {"sealwright.db", "tokens", "checkpoints"}
    assert not list(machine.glob(".*"))
    with closing(Store(f"sqlite:///{machine / 'sealwright.db'}")) as store:
        switch = store.switches.get("maintenance")
        assert switch.is_on
        assert switch.reason is not None
        assert switch.reason.startswith("restored from the backup of ")
    head = Checkpoint.parse(
        Note.parse((machine / "checkpoints/signatures.checkpoint").read_text()).unverified_text
    )
    assert head.size == 3
    # What is there is left alone, each by itself.
    again = service("restore", str(backup), "--nothing-newer")
    assert (again.code, "not empty" in again.err) == (2, True)
    (machine / "sealwright.db").rename(machine / "elsewhere.db")
    tokens = service("restore", str(backup), "--nothing-newer")
    assert (tokens.code, "the token directory" in tokens.err) == (2, True)


def test_nobody_gets_a_log_of_whose_last_hour_nothing_is_said(
    service: Service, backup: Path, machine: Path
) -> None:
    unsaid = service("restore", str(backup))
    assert unsaid.code == 2
    assert "after the backup by: signatures, audit" in unsaid.err
    half = service("restore", str(backup), "--end-log", "signatures")
    assert "after the backup by: audit" in half.err
    assert [path.name for path in machine.iterdir()] == ["softhsm2.conf"]
    ended = service("restore", str(backup), *ENDS, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["missing"] == []
    with closing(Store(f"sqlite:///{machine / 'sealwright.db'}")) as store:
        assert store.log_writer.tree(LogName.SIGNATURES) is None
        assert [tree.name for tree in store.log_reader.trees(LogName.SIGNATURES)] == [
            "log.example.test"
        ]


def test_what_an_attempt_was_told_that_failed_is_not_known_to_the_next(
    service: Service, backup: Path, machine: Path
) -> None:
    whole = {path: path.read_bytes() for path in backup.glob("tokens/*/*.object")}
    manifest = (backup / "manifest.json").read_bytes()
    drop_keys(backup)
    reseal(backup)
    failed = service("restore", str(backup), *ENDS)
    assert (failed.code, "NOT restored" in failed.err) == (1, True)
    assert not (machine / "tokens").exists()
    for path, content in whole.items():
        path.write_bytes(content)
    (backup / "manifest.json").write_bytes(manifest)
    assert "after the backup by: signatures, audit" in service("restore", str(backup)).err
    assert service("restore", str(backup), *ENDS).code == 0


def test_what_was_published_since_is_named_by_its_positions(
    service: Service, backup: Path, machine: Path
) -> None:
    newer = machine / "newer"
    newer.write_text(service.publish("since"))
    restore = ("restore", str(backup), "--newer-checkpoint", str(newer), "--end-log", "audit")
    done = service(*restore, "--json")
    assert done.code == 1, done.err
    assert done.json["restored"] is True
    assert done.json["missing"] == [{"log": "signatures", "from": 3, "to": 5}]
    # The service looks there before it signs anything.
    assert CheckpointFiles(machine / "checkpoints").newest(LogName.SIGNATURES) == newer.read_text()


def test_a_bundle_that_somebody_has_tells_what_was_published(
    service: Service, backup: Path, machine: Path
) -> None:
    note = service.grow("since").rekor_note
    proof = {"inclusionProof": {"checkpoint": {"envelope": note}}}
    bundle = machine / "bundle.json"
    bundle.write_text(json.dumps({"verificationMaterial": {"tlogEntries": [proof]}}))
    words = ("restore", str(backup), "--newer-checkpoint", str(bundle), "--end-log", "audit")
    done = service(*words, "--json")
    assert done.code == 1, done.err
    assert done.json["missing"] == [{"log": "signatures", "from": 3, "to": 5}]
    with closing(Store(f"sqlite:///{machine / 'sealwright.db'}")) as store:
        service.log = make_log(store, service.signer, machine / "checkpoints")
        with pytest.raises(LogRolledBackError, match="a checkpoint over 6 has been published"):
            service.log.require()
        keeper = CheckpointFiles(machine / "checkpoints")
        recover = RecoverLog(store.log_writer, store.log_recovery, keeper, store.audit)
        loss = recover.loss(LogName.SIGNATURES)
        assert loss is not None
        (tree,) = service.store.log_reader.trees(LogName.SIGNATURES)
        entries = service.store.log_reader.entries(tree.id, start=0, count=6)
        recover.refill(loss, gather([enumerate(entries)], loss))
        service.log.require()


def test_the_checkpoints_that_are_still_there_are_known(
    service: Service, backup: Path, machine: Path
) -> None:
    service.publish("since")
    (service.directory / "outside").rename(machine / "checkpoints")
    done = service("restore", str(backup), "--json")
    assert done.code == 1, done.err
    assert [one["log"] for one in done.json["missing"]] == ["signatures", "audit"]
    shown = service.shell("doctor", "--json", role=None).json
    problems = {one["what"]: one["problem"] for one in shown}
    assert "a checkpoint over 6 has been published" in problems["log signatures"]


def test_a_checkpoint_that_nobody_of_ours_signed_tells_nothing(
    service: Service, backup: Path, machine: Path
) -> None:
    newer = machine / "newer"

    def refused(content: str) -> str:
        newer.write_text(content)
        words = ("--newer-checkpoint", str(newer), "--end-log", "audit")
        done = service("restore", str(backup), *words)
        assert done.code == 2
        assert not (machine / "sealwright.db").exists()
        return done.err

    honest = service.publish("since")
    assert "holds no checkpoint" in refused("{}")
    assert "no checkpoint of a log" in refused("hello")
    assert "no checkpoint of a log" in refused(honest.replace("log.example", "other.example"))
    assert "no key of log.example.test" in refused(honest.replace("\n6\n", "\n7\n"))


def test_a_store_that_contradicts_what_was_published_is_not_restored(
    service: Service, backup: Path, machine: Path, tmp_path: Path, migrated_file: Path
) -> None:
    """Another log of the same name and key, as a fork of ours would be."""
    fork = tmp_path / "fork.db"
    fork.write_bytes(migrated_file.read_bytes())
    with closing(Store(f"sqlite:///{fork}")) as store:
        make_key(store)
        known = service.store.keys.get("log")
        assert known is not None
        forked = Service(service.shell, store, service.signer, service.log, tmp_path)
        key = make_log_key(store, Same(service.signer, known.versions[0].public_key))
        assert key.versions[0].public_key == known.versions[0].public_key
        forked.log = make_log(store, service.signer, tmp_path / "fork outside")
        newer = machine / "newer"
        newer.write_text(forked.publish("otherwise"))
    restore = ("restore", str(backup), "--newer-checkpoint", str(newer), "--end-log", "audit")
    done = service(*restore, "--json")
    assert done.code == 1, done.err
    assert done.json["restored"] is False
    assert "are not those of the checkpoint" in done.out
    assert not (machine / "sealwright.db").exists()
    assert not (machine / "tokens").exists()


@dataclass
class Same:
    """Generates a key that is there."""

    signer: Any
    spki: bytes

    def generate(self) -> bytes:
        return self.spki


def test_a_backup_of_one_kind_of_database_is_not_put_into_another(
    service: Service,
    backup: Path,
    machine: Path,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEALWRIGHT_DATABASE_URL", postgres_url)
    done = service("restore", str(backup), "--nothing-newer")
    assert (done.code, "does not fit the database" in done.err) == (2, True)
