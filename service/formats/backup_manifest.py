"""The manifest of a backup: what lies beside it, and what the logs had published when it began.

JSON, read strictly. It proves that a backup is whole, and not who made it: whoever can write
the directory can write the manifest too.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from service.domain.log import LogName
from service.formats import strictjson
from service.translog.checkpoints import Checkpoint
from service.translog.errors import MalformedError
from service.translog.notes import Note, base64_text, decode_base64

NAME: Final = "manifest.json"
MAX_BYTES: Final = 16 * 1024 * 1024  # a hundred thousand files
STORES: Final = ("store.sqlite", "store.pgdump")
TOKENS: Final = "tokens"
_FORMAT: Final = 1
# No `..` and nothing absolute: a name from a manifest never leads out of its directory.
_PATH: Final = re.compile(r"(?!\.)[A-Za-z0-9_.-]+(/(?!\.)[A-Za-z0-9_.-]+)*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class ManifestMalformedError(ValueError):
    """It is no manifest that this program can read."""


@dataclass(frozen=True, slots=True)
class CopiedFile:
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LogAt:
    """A log as it was published: its newest checkpoint (a signed note), and its public keys (DER)."""

    log: LogName
    note: str
    keys: tuple[bytes, ...]

    @property
    def unverified_head(self) -> Checkpoint:
        """Raises MalformedError."""
        return Checkpoint.parse(Note.parse(self.note).unverified_text)

    def has_origin(self, origin: str) -> bool:
        """Whether checkpoints of this log may have this origin; its tree's number is not known here."""
        name = self.unverified_head.origin
        return origin == name or origin.rpartition(" - ")[0] == name

    def told(self) -> dict[str, Any]:
        head = self.unverified_head
        return {
            "log": self.log.value,
            "name": head.origin,
            "size": head.size,
            "root": base64_text(head.root),
            "checkpoint": self.note,
            "keys": [base64_text(key) for key in self.keys],
        }


@dataclass(frozen=True, slots=True)
class TokenAt:
    """A token that was configured, and whether its objects are in the backup."""

    label: str
    serial: str | None
    held: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    made_at: datetime
    program: str
    schema: str
    """The revision of the database's schema."""
    store: str
    """Which of the files is the store: one of STORES."""
    files: tuple[CopiedFile, ...]
    logs: tuple[LogAt, ...]
    tokens: tuple[TokenAt, ...]

    def dump(self) -> bytes:
        document = {
            "format": _FORMAT,
            "made_at": self.made_at.isoformat(),
            "program": self.program,
            "schema": self.schema,
            "store": self.store,
            "logs": [one.told() for one in self.logs],
            "tokens": [
                {"label": one.label, "serial": one.serial, "held": one.held} for one in self.tokens
            ],
            "files": [
                {"path": one.path, "size": one.size, "sha256": one.sha256} for one in self.files
            ],
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, content: bytes) -> Manifest:
        """Raises ManifestMalformedError."""
        try:
            return _parse(strictjson.load(content))
        except ManifestMalformedError:
            raise
        # What is missing, of another kind, or says what cannot be.
        except (ValueError, KeyError, TypeError, AttributeError, MalformedError) as error:
            raise ManifestMalformedError("not the manifest of a backup") from error


def _parse(document: dict[str, Any]) -> Manifest:
    if document["format"] != _FORMAT:
        raise ManifestMalformedError(
            f"a backup of format {document['format']!r}; this program reads {_FORMAT}"
        )
    files = tuple(
        CopiedFile(_fits(_PATH, one["path"]), _size(one["size"]), _fits(_SHA256, one["sha256"]))
        for one in document["files"]
    )
    store = _text(document["store"])
    paths = [one.path for one in files]
    if store not in STORES or store not in paths or len(set(paths)) != len(paths):
        raise ManifestMalformedError("the manifest names no store, or a file twice")
    made_at = datetime.fromisoformat(document["made_at"])
    if made_at.tzinfo is None:
        raise ManifestMalformedError("the manifest's time has no zone")
    return Manifest(
        made_at=made_at,
        program=_text(document["program"]),
        schema=_text(document["schema"]),
        store=store,
        files=files,
        logs=tuple(_log(one) for one in document["logs"]),
        tokens=tuple(
            TokenAt(
                _text(one["label"]),
                None if one["serial"] is None else _text(one["serial"]),
                one["held"] is True,
            )
            for one in document["tokens"]
        ),
    )


def _log(told: dict[str, Any]) -> LogAt:
    keys = tuple(decode_base64(_text(key)) for key in told["keys"])
    made = LogAt(LogName(told["log"]), _text(told["checkpoint"]), keys)
    if made.told() != told:
        raise ManifestMalformedError("the manifest says something else than its checkpoint")
    return made


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ManifestMalformedError("not a text where the manifest has one")
    return value


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ManifestMalformedError("not a size where the manifest has one")
    return value


def _fits(pattern: re.Pattern[str], value: object) -> str:
    text = _text(value)
    if not pattern.fullmatch(text):
        raise ManifestMalformedError(f"not what may stand in a manifest: {text[:100]!r}")
    return text
