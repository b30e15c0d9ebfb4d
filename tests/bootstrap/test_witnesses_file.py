"""The witnesses file says every fault at once, and names no address that is not safe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import ConfigurationError
from service.domain.log import LogName
from service.witnesses import WitnessConfig, load_witnesses, parse_witnesses
from tests.support.witness import SmallWitness

KEY = SmallWitness("x", b"").vkey


def parse(*entries: Any) -> tuple[WitnessConfig, ...]:
    return parse_witnesses(json.dumps({"witnesses": list(entries)}).encode())


def test_a_witness_is_read(tmp_path: Path) -> None:
    (one,) = parse({"key": KEY, "url": "https://w.example/prefix/", "logs": ["audit"]})
    assert (one.witness.vkey(), one.url) == (KEY, "https://w.example/prefix")
    assert one.logs == (LogName.AUDIT,)
    (other,) = parse({"key": KEY, "url": "http://127.0.0.1:80"})
    assert other.logs == (LogName.SIGNATURES,)
    assert parse() == ()
    file = tmp_path / "witnesses.yaml"
    file.write_text("witnesses: []")
    assert load_witnesses(file) == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "http://w.example"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://a:b@w.example"}, "url"),
        ({"url": "https://w.example/?x=1"}, "url"),
        ({"url": "https://w.example:port"}, "url"),
        ({"url": 3}, "url"),
        ({"key": "nonsense"}, "key"),
        ({"logs": ["others"]}, "logs"),
        ({"logs": []}, "logs"),
        ({"ca_file": "/nowhere"}, "ca_file"),
        ({"more": 1}, "not a mapping of"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse({"key": KEY, "url": "https://w.example", **change})


@pytest.mark.parametrize("content", [b"[]", b"witnesses: 3", b"x: [", b"witnesses: []\nmore: 1"])
def test_what_is_no_such_file_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        parse_witnesses(content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_witnesses(tmp_path / "nothing")


def test_a_witness_stands_there_once() -> None:
    entry = {"key": KEY, "url": "https://w.example"}
    with pytest.raises(ConfigurationError, match="twice"):
        parse(entry, entry)
