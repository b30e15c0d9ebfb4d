"""A store that was put back to an older state: nothing is signed, and everything comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.domain.audit import AuditEvent
from service.domain.errors import LogRolledBackError, LogUnavailableError, NotFoundError
from service.domain.log import LogName
from service.domain.signing import Signature
from service.operations.log import RecoverLog, RederiveLogs, SignatureLog, gather
from service.store import Store
from service.translog.errors import ProofInvalidError
from service.witnesses import CheckpointFiles
from tests.support.logged import assert_included
from tests.support.logs import UnsafeSoftwareSigner, make_log, make_log_key, new_signer
from tests.support.merkle import slow_root
from tests.support.records import a_statement, an_intent, make_key, sign

LOG = LogName.SIGNATURES


@dataclass
class Site:
    """A database file with what stands around it, and backups of it."""

    url: str
    outside: Path
    signer: UnsafeSoftwareSigner = field(default_factory=new_signer)
    store: Store = field(init=False)
    log: SignatureLog = field(init=False)

    def __post_init__(self) -> None:
        self.open()
        make_key(self.store)
        make_log_key(self.store, self.signer)

    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    def open(self) -> None:
        self.store = Store(self.url)
        self.log = make_log(self.store, self.signer, self.outside)

    def backup(self) -> dict[str, bytes]:
        self.store.close()
        files = self.path.parent.glob(self.path.name + "*")
        content = {file.name: file.read_bytes() for file in files if file.suffix != ".lock"}
        self.open()
        return content

    def restore(self, backup: dict[str, bytes]) -> None:
        self.store.close()
        for file in self.path.parent.glob(self.path.name + "*"):
            file.unlink()
        for name, content in backup.items():
            (self.path.parent / name).write_bytes(content)
        self.open()

    def record(self, count: int, name: str) -> list[Signature]:
        intents = [
            an_intent(a_statement(f"{name}{n}"), request_id=name, item=n) for n in range(count)
        ]
        return [d.signature for d in sign(self.store, *intents, owner=name) if d.signature]

    def entries(self, log: LogName = LOG) -> list[bytes]:
        tree = self.store.log_writer.tree(log)
        assert tree is not None
        return list(self.store.log_reader.entries(tree.id, start=0, count=tree.size))

    @property
    def recover(self) -> RecoverLog:
        keeper = CheckpointFiles(self.outside)
        return RecoverLog(self.store.log_writer, self.store.log_recovery, keeper, self.store.audit)

    def is_sound(self) -> bool:
        return list(RederiveLogs(self.store.log_reader, self.store.log_reader)()) == []

    def heads(self) -> dict[tuple[bytes, bytes], set[bytes]]:
        """Return the roots that were ever signed, by origin and size."""
        found: dict[tuple[bytes, bytes], set[bytes]] = {}
        for message in self.signer.seen:
            origin, size, root, _ = message.split(b"\n")
            found.setdefault((origin, size), set()).add(root)
        return found


@pytest.fixture
def site(sqlite_store_url: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(sqlite_store_url, tmp_path / "outside")
    yield made
    made.store.close()


@dataclass
class Lost:
    kept: list[Signature]
    queued: list[Signature]
    entries: list[bytes]
    """What had been published in the end."""


def lose(site: Site) -> Lost:
    """Go back to a backup that lacks six entries, of which two were recorded and not yet logged."""
    kept = site.record(5, "kept")
    site.log.proven(kept, are_new=True)
    queued = site.record(2, "queued")
    backup = site.backup()
    site.log.extend(LOG, seconds=20)
    for name in ("lost", "later"):
        site.log.proven(site.record(2, name), are_new=True)
    entries = site.entries()
    assert len(entries) == 11
    site.restore(backup)
    return Lost(kept, queued, entries)


def test_a_store_that_was_put_back_neither_grows_nor_signs(site: Site) -> None:
    lose(site)
    seen = len(site.signer.seen)
    for count, name in ((1, "few"), (20, "many")):
        for result in site.log.proven(site.record(count, name), are_new=True):
            assert isinstance(result, LogRolledBackError)
    with pytest.raises(LogRolledBackError):
        site.log.require()
    with pytest.raises(LogRolledBackError):
        site.log.check()
    assert len(site.entries()) == 5
    assert len(site.signer.seen) == seen


def test_what_was_lost_is_put_back_and_the_log_goes_on(site: Site) -> None:
    lost = lose(site)
    new = site.record(1, "new")
    loss = site.recover.loss(LOG)
    assert loss is not None
    assert loss.positions == range(5, 11)
    found = gather([enumerate(lost.entries)], loss)
    assert site.recover.missing(loss, found) == []
    site.recover.refill(loss, found)
    assert site.recover.loss(LOG) is None
    assert site.entries() == lost.entries
    proofs = site.log.proven([*lost.kept, *lost.queued, *new], are_new=False)
    indexes = []
    for result in proofs:
        assert isinstance(result, Signature)
        assert result.log is not None
        assert_included(result.log)
        indexes.append(result.log.index)
    # What was queued in the backup is where it had been published, and nowhere else.
    assert indexes == [0, 1, 2, 3, 4, 5, 6, 11]
    assert site.entries() == [*lost.entries, new[0].log_entry]
    assert site.is_sound()
    assert all(len(roots) == 1 for roots in site.heads().values())


def test_only_what_had_been_published_is_put_back_and_only_all_of_it(site: Site) -> None:
    lost = lose(site)
    loss = site.recover.loss(LOG)
    assert loss is not None
    found = gather([enumerate(lost.entries)], loss)
    some = {position: entry for position, entry in found.items() if position not in (7, 9)}
    assert site.recover.missing(loss, some) == [7, 9]
    with pytest.raises(LogUnavailableError):
        site.recover.refill(loss, some)
    for wrong in ({**found, 7: b"something else"}, {**found, 7: found[8], 8: found[7]}):
        with pytest.raises(ProofInvalidError):
            site.recover.refill(loss, wrong)
    assert len(site.entries()) == 5
    site.recover.refill(loss, found)
    assert site.entries() == lost.entries


def test_a_log_that_cannot_be_brought_back_is_closed_and_another_begun(site: Site) -> None:
    lost = lose(site)
    closed = site.store.log_writer.tree(LOG)
    assert closed is not None
    assert site.recover.close(LOG) == 0
    new = site.record(1, "new")
    proofs = site.log.proven([*lost.kept, *lost.queued, *new], are_new=False)
    logged = [result.log for result in proofs if isinstance(result, Signature)]
    assert all(one is not None for one in logged)
    names = [one.checkpoint.partition("\n")[0] for one in logged if one is not None]
    assert names == ["log.example.test"] * 5 + ["2.log.example.test"] * 3
    tree = site.store.log_writer.tree(LOG)
    assert tree is not None
    assert tree.id != closed.id
    assert tree.root == slow_root(site.entries())
    assert (site.outside / "signatures.closed-11").exists()
    assert site.is_sound()
    assert all(len(roots) == 1 for roots in site.heads().values())
    site.log.extend(LogName.AUDIT, seconds=20)
    assert any(b'"action":"log.closed"' in entry for entry in site.entries(LogName.AUDIT))


def test_what_no_checkpoint_of_a_closed_tree_covers_goes_into_the_next(site: Site) -> None:
    site.log.proven(site.record(2, "covered"), are_new=True)
    stuck = site.record(3, "stuck")
    assert site.store.log_writer.integrate(LOG, owner="dead", seconds=0, limit=10) is not None
    assert site.recover.close(LOG) == 3
    proofs = site.log.proven(stuck, are_new=False)
    for index, result in enumerate(proofs):
        assert isinstance(result, Signature)
        assert result.log is not None
        assert (result.log.index, result.log.entry) == (index, stuck[index].log_entry)
        assert_included(result.log)
        assert result.log.checkpoint.startswith("2.log.example.test\n3\n")


def test_the_audit_log_is_brought_back_too(site: Site) -> None:
    log = LogName.AUDIT
    site.store.audit.append([AuditEvent("x", "somebody", "kept")])
    site.log.extend(log, seconds=20)
    backup = site.backup()
    site.store.audit.append(
        [AuditEvent("x", "somebody", "lost"), AuditEvent("x", "y", "z" * 70_000)]
    )
    site.log.extend(log, seconds=20)
    entries = site.entries(log)
    site.restore(backup)
    with pytest.raises(LogRolledBackError):
        site.log.extend(log, seconds=20)
    loss = site.recover.loss(log)
    assert loss is not None
    site.recover.refill(loss, gather([enumerate(entries)], loss))
    site.log.extend(log, seconds=20)
    assert site.entries(log)[: len(entries)] == entries
    assert b'"action":"log.refilled"' in site.entries(log)[-1]
    assert site.is_sound()


def test_a_checkpoint_in_rekors_form_counts_for_its_own_tree_alone(site: Site) -> None:
    site.log.proven(site.record(2, "published"), are_new=True)
    head = site.store.log_reader.newest(LOG)
    assert head is not None
    assert head.rekor_note is not None
    kept = site.outside / f"{LOG}.checkpoint"
    kept.write_text(head.rekor_note)
    site.log.check()
    assert site.recover.loss(LOG) is None
    kept.write_text(head.rekor_note.replace(f" - {head.tree_id}\n", f" - {head.tree_id + 1}\n"))
    with pytest.raises(LogRolledBackError):
        site.log.check()
    with pytest.raises(ProofInvalidError):
        site.recover.loss(LOG)


def test_a_store_that_lost_everything_does_not_begin_again_under_the_old_name(
    site: Site, migrated_file: Path
) -> None:
    site.log.proven(site.record(2, "published"), are_new=True)
    site.restore({site.path.name: migrated_file.read_bytes()})
    make_key(site.store)
    make_log_key(site.store, site.signer, "log-of-the-new-store")
    (result,) = site.log.proven(site.record(1, "new"), are_new=True)
    assert isinstance(result, LogRolledBackError)
    assert site.store.log_writer.tree(LOG) is None
    with pytest.raises(NotFoundError):
        site.recover.loss(LOG)
    site.recover.close(LOG)
    site.log = make_log(site.store, site.signer, site.outside, name="new.example.test")
    (result,) = site.log.proven(site.record(1, "newer"), are_new=True)
    assert isinstance(result, Signature)


def test_a_sound_store_has_lost_nothing(site: Site) -> None:
    assert site.recover.loss(LOG) is None
    site.log.proven(site.record(2, "published"), are_new=True)
    assert site.recover.loss(LOG) is None
