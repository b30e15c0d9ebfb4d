"""The manifest of a backup: read as it was written, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.log import LogName
from service.formats.backup_manifest import (
    CopiedFile,
    LogAt,
    Manifest,
    ManifestMalformedError,
    TokenAt,
)
from service.translog.checkpoints import Checkpoint
from service.translog.notes import NoteSignature, sign_text

NOTE = sign_text(
    Checkpoint("log.example.test", 7, b"r" * 32).text(),
    [NoteSignature("log.example.test", b"1234", b"signature")],
)
SOUND = Manifest(
    made_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    program="1.2.3",
    schema="r0001",
    store="store.sqlite",
    files=(
        CopiedFile("store.sqlite", 5, "0" * 64),
        CopiedFile("tokens/c445-70058/token.object", 320, "a" * 64),
    ),
    logs=(LogAt(LogName.SIGNATURES, NOTE, (b"a key",)),),
    tokens=(TokenAt("release", "1234", held=True), TokenAt("network", None, held=False)),
)


def changed(change: Any) -> bytes:
    document = json.loads(SOUND.dump())
    change(document)
    return json.dumps(document).encode()


def test_it_is_read_as_it_was_written() -> None:
    assert Manifest.parse(SOUND.dump()) == SOUND
    assert Manifest.parse(changed(lambda document: None)) == SOUND
    (log,) = json.loads(SOUND.dump())["logs"]
    assert (log["name"], log["size"]) == ("log.example.test", 7)


@pytest.mark.parametrize(
    "path",
    ["../secret", "/etc/passwd", "tokens/../../x", "tokens//x", ".hidden", "a\\b", "", "tokens/"],
)
def test_no_name_leads_out_of_the_backup(path: str) -> None:
    with pytest.raises(ManifestMalformedError):
        Manifest.parse(changed(lambda document: document["files"][1].update(path=path)))


CANNOT_BE: dict[str, Callable[[Any], object]] = {
    "another format": lambda document: document.update(format=2),
    "no schema": lambda document: document.pop("schema"),
    "a time without a zone": lambda document: document.update(made_at="2026-01-02T03:04:05"),
    "a store that is none": lambda document: document.update(
        store="tokens/c445-70058/token.object"
    ),
    "a store that is not among the files": lambda document: document.update(store="store.pgdump"),
    "a file twice": lambda document: document["files"].append(document["files"][0]),
    "a size that is none": lambda document: document["files"][0].update(size=True),
    "a negative size": lambda document: document["files"][0].update(size=-1),
    "a digest in capitals": lambda document: document["files"][0].update(sha256="A" * 64),
    "another size than the checkpoint": lambda document: document["logs"][0].update(size=8),
    "another log than the checkpoint": lambda document: document["logs"][0].update(
        name="another.example.test"
    ),
    "a log that is none": lambda document: document["logs"][0].update(log="other"),
    "keys that are not base64": lambda document: document["logs"][0].update(keys=["not base64"]),
    "a checkpoint that is none": lambda document: document["logs"][0].update(checkpoint="no note"),
    "a label that is no text": lambda document: document["tokens"][0].update(label=7),
    "files that are no list": lambda document: document.update(files=7),
    "logs that are no objects": lambda document: document.update(logs=[7]),
}


@pytest.mark.parametrize("what", CANNOT_BE)
def test_what_cannot_be_meant_is_refused(what: str) -> None:
    with pytest.raises(ManifestMalformedError):
        Manifest.parse(changed(CANNOT_BE[what]))


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_anything_else_is_refused_by_its_one_error(content: bytes | str) -> None:
    with pytest.raises(ManifestMalformedError):
        Manifest.parse(content if isinstance(content, bytes) else content.encode())
