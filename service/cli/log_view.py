"""The log over HTTP, as a stranger sees it: fetched, hashed and compared, never believed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives import serialization

from service.cli.signature_index import SignatureIndex
from service.client import SealwrightClient
from service.domain.public_keys import SignatureInvalidError
from service.translog.checkpoints import Checkpoint, open_checkpoint
from service.translog.errors import MalformedError, ProofInvalidError
from service.translog.frontier import EMPTY, Frontier, grow
from service.translog.merkle import leaf_hash
from service.translog.notes import Note, base64_text, decode_base64
from service.translog.prooffile import ProofFile
from service.translog.proofs import inclusion_proof
from service.translog.tiles import Tile, TiledNodes, split_bundle, split_hashes, width_at
from service.translog.walk import Walk, check_tiles


@dataclass(slots=True)
class LogView:
    """`keys` are public keys in DER that the reader trusts; without any, the service's own."""

    service: SealwrightClient
    audit: bool
    keys: Sequence[bytes]
    mirror: Path | None = None
    tree: str | None = None
    """The NAME of a log that may be closed; None for the one that grows."""
    """Where every file that is fetched is kept, as `log recover --tiles` reads them."""

    def verify(self, name: str | None) -> dict[str, object]:
        """Check everything, and tell what was checked.

        Raises:
            MalformedError, ProofInvalidError, SignatureInvalidError: it is wrong.
            ClientError: it could not be fetched.
        """
        head, _ = self._head(name)
        frontier = EMPTY
        for _, entry in check_tiles(head.size, self._fetch):
            frontier = grow(frontier, (leaf_hash(entry),)).frontier
        if frontier.root() != head.root:
            raise ProofInvalidError("the entries do not lead to the root of the checkpoint")
        return {"log": head.origin, "entries": head.size, "root": base64_text(head.root)}

    def watch(self, file: Path, index: SignatureIndex | None = None) -> dict[str, object]:
        """Hold the newest checkpoint against the one that was seen before, and remember it.

        With an `index`, it then has the name of every signature in the log.

        Raises:
            MalformedError, ProofInvalidError, SignatureInvalidError: the log is not one log.
            ClientError: it could not be fetched.
        """
        seen = _Seen.load(file)
        head, note = self._head(seen.name)
        if head.size < seen.frontier.size:
            self._accuse(file, seen, note)
            raise ProofInvalidError(
                f"the log had {seen.frontier.size} entries, and now shows {head.size}"
            )
        begun = seen.frontier
        if index is not None and not index.load(seen.frontier.size):
            begun = self._read(EMPTY, seen.frontier.size, index)
            self._compare(begun, seen.frontier.root(), file, seen, note)
        read = self._read(begun, head.size, index)
        self._compare(read, head.root, file, seen, note)
        if index is not None:
            index.save()
        _Seen(head.origin, note, read).save(file)
        return {
            "log": head.origin,
            "size": head.size,
            "new": head.size - seen.frontier.size,
            "root": base64_text(head.root),
        }

    def _read(self, begun: Frontier, size: int, index: SignatureIndex | None) -> Frontier:
        walk = Walk(self._fetch, begun)
        for _, entry in walk.entries(size):
            if index is not None:
                index.add(entry)
        return walk.frontier

    def _compare(self, read: Frontier, root: bytes, file: Path, seen: _Seen, note: str) -> None:
        if read.root() != root:
            self._accuse(file, seen, note)
            raise ProofInvalidError(
                "the log has changed what it had shown, or shows others something else"
            )

    def _accuse(self, file: Path, seen: _Seen, note: str) -> None:
        evidence = {"seen": seen.note, "shown": note}
        file.with_name(file.name + ".evidence").write_text(json.dumps(evidence, indent=1))

    def _head(self, name: str | None) -> tuple[Checkpoint, str]:
        note = self._get("checkpoint").decode()
        origin = name or Checkpoint.parse(Note.parse(note).unverified_text).origin
        return open_by_any(note, origin, self.keys or service_keys(self.service)), note

    def _fetch(self, tile: Tile) -> bytes:
        return self._get(tile.path())

    def _get(self, path: str) -> bytes:
        within = path if self.tree is None else f"trees/{self.tree}/{path}"
        content = self.service.log_file(within, audit=self.audit)
        if self.mirror is not None:
            file = self.mirror / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return content


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a monitor remembers: the name, the last checkpoint, and the frontier of its tree."""

    name: str | None
    note: str | None
    frontier: Frontier

    @classmethod
    def load(cls, file: Path) -> _Seen:
        """Raises MalformedError: the file was not written by `save`."""
        if not file.exists():
            return cls(None, None, EMPTY)
        try:
            kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            frontier = Frontier.load(kept["size"], decode_base64(kept["frontier"]))
            return cls(str(kept["log"]), str(kept["checkpoint"]), frontier)
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedError(f"{file} is not the state of a monitor") from error

    def save(self, file: Path) -> None:
        kept = {
            "log": self.name,
            "checkpoint": self.note,
            "size": self.frontier.size,
            "frontier": base64_text(self.frontier.dump()),
        }
        new = file.with_name(file.name + ".new")
        new.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        new.replace(file)


def open_by_any(note: str, name: str, keys: Iterable[bytes]) -> Checkpoint:
    """Return what a checkpoint says, if one of the keys has signed it.

    Raises:
        MalformedError, SignatureInvalidError.
    """
    for spki in keys:
        try:
            return open_checkpoint(note, origin=name, name=name, spki=spki)
        except SignatureInvalidError:
            continue
    raise SignatureInvalidError(f"the checkpoint is not signed by a known key of {name}")


def service_keys(service: SealwrightClient) -> list[bytes]:
    """Return the log's keys as the service tells them: good enough to see that it is one log."""
    return [
        _der(version["public_key"].encode())
        for key in service.keys("log")
        for version in key["versions"]
        if version["state"] not in ("staged", "compromised")
    ]


def signing_keys(service: SealwrightClient) -> dict[bytes, str]:
    """Return every key that the service has or ever had, whatever its state, with its name."""
    return {
        _der(version["public_key"].encode()): f"{key['name']}/{version['version']}"
        for key in service.keys()  # noqa: SIM118 -- a request, and no dict
        for version in key["versions"]
    }


def keys_from(files: Iterable[Path]) -> list[bytes]:
    """Read PEM files. Raises click.BadParameter."""
    try:
        return [_der(file.read_bytes()) for file in files]
    except ValueError as error:
        raise click.BadParameter("not a public key in PEM") from error


def _der(pem: bytes) -> bytes:
    return serialization.load_pem_public_key(pem).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def proof_for_signature(service: SealwrightClient, signature_id: str) -> ProofFile | None:
    """Return the proof that the service has for a signature, or None before there is one."""
    logged = service.signature(signature_id).get("log")
    if not isinstance(logged, dict):
        return None
    return ProofFile(
        unverified_entry=decode_base64(logged["entry"]),
        index=logged["index"],
        hashes=tuple(decode_base64(one) for one in logged["hashes"]),
        checkpoint=logged["checkpoint"],
    )


def proof_for_index(service: SealwrightClient, index: int) -> ProofFile | None:
    """Return a proof under the newest checkpoint, made from the log's tiles."""
    note = service.log_file("checkpoint").decode()
    size = Checkpoint.parse(Note.parse(note).unverified_text).size
    if index >= size:
        return None

    def fetch(tile: Tile) -> Sequence[bytes]:
        return split_hashes(service.log_file(tile.path()), tile.width)

    whole = Tile(None, index // 256)
    bundle = Tile(None, whole.index, width_at(whole, size))
    entries = split_bundle(service.log_file(bundle.path()), bundle.width)
    entry = entries[index - bundle.start]
    nodes = TiledNodes(size, fetch)
    if nodes(0, index) != leaf_hash(entry):
        raise ProofInvalidError("the log's tiles do not hold the hash of this entry")
    return ProofFile(entry, index, inclusion_proof(index, size, nodes), note)
