"""The time-stamps file: what it may say, and every fault of what it may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import ConfigurationError
from service.timestamping.config import AuthorityConfig, TimestampConfig, load_timestamps
from tests.support import chains

LEAF, LOWER, UPPER, ROOT = chains.issue(chains.chain_specs(4))
OTHER = chains.issue([chains.ca("another root", 12)])[0]
CHAINS = ((LOWER, UPPER, ROOT), (OTHER,))


@pytest.fixture
def roots(tmp_path: Path) -> str:
    file = tmp_path / "roots.pem"
    file.write_text(chains.pem_of([ROOT, LOWER, OTHER, UPPER]))
    return str(file)


def load(tmp_path: Path, document: object) -> TimestampConfig:
    file = tmp_path / "timestamps.yaml"
    file.write_text(json.dumps(document))
    return load_timestamps(file)


def test_authorities_are_read_in_their_order_with_their_roots(tmp_path: Path, roots: str) -> None:
    first = {"name": "example", "url": "https://tsa.example.com/x?y=1", "chain_file": roots}
    more = {"ca_file": roots, "timeout_seconds": 2, "http": False}
    plain = {"name": "b", "url": "http://127.0.0.1:8080", "chain_file": roots, "http": True}
    found = load(
        tmp_path, {"keys": ["release"], "authorities": [{**first, **more}, {"name": "own"}, plain]}
    )
    assert found.keys == {"release"}
    assert found.authorities == (
        AuthorityConfig("example", "https://tsa.example.com/x?y=1", CHAINS, Path(roots), 2.0),
        AuthorityConfig("own"),
        AuthorityConfig("b", "http://127.0.0.1:8080", CHAINS),
    )
    assert found.authorities[0].roots == (ROOT, OTHER)
    assert found.authorities[0].between == (LOWER, UPPER)
    assert load(tmp_path, {"authorities": []}) == TimestampConfig((), None)


BASE = {"name": "example", "url": "https://tsa.example.com", "chain_file": "ROOTS"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param({"url": "http://tsa.example.com"}, "`http: true` allows", id="plain-http"),
        pytest.param({"url": "ftp://tsa.example.com", "http": True}, "url:", id="scheme"),
        pytest.param({"url": "https://user:pw@tsa.example.com"}, "url:", id="user"),
        pytest.param({"url": "https:///path"}, "url:", id="no-host"),
        pytest.param({"url": "https://tsa.example.com:99999"}, "url:", id="port"),
        pytest.param({"url": 5}, "url: not a text", id="no-text"),
        pytest.param({"url": None}, "url: not a text", id="null"),
        pytest.param({"chain_file": "/does/not/exist"}, "cannot be read", id="no-roots"),
        pytest.param({"chain_file": "LEAF"}, "certificate 1 is no certificate of a CA", id="leaf"),
        pytest.param({"chain_file": "LOST"}, "certificate 2 leads to no root", id="no-root"),
        pytest.param({"chain_file": "JUNK"}, "no PEM certificate", id="no-certificate"),
        pytest.param({"name": "Example!"}, "name:", id="name"),
        pytest.param({"name": "own"}, "our own authority", id="own-with-more"),
        pytest.param({"timeout_seconds": 0}, "timeout_seconds:", id="timeout"),
        pytest.param({"timeout_seconds": True}, "timeout_seconds:", id="timeout-kind"),
        pytest.param({"http": "yes"}, "http:", id="http-kind"),
        pytest.param({"unknown": 1}, "unknown: no such field", id="unknown"),
        pytest.param(
            {"http": True, "url": "http://x.test", "ca_file": "ROOTS"}, "ca_file:", id="ca"
        ),
        pytest.param({"url": "${TSA}"}, "not expanded", id="variable"),
    ],
)
def test_a_fault_is_named_with_its_place(
    tmp_path: Path, roots: str, change: dict[str, Any], fault: str
) -> None:
    (tmp_path / "leaf.pem").write_text(chains.pem_of([LEAF, ROOT]))
    (tmp_path / "lost.pem").write_text(chains.pem_of([ROOT, LOWER]))
    (tmp_path / "junk").write_text("nothing")
    files = {
        "ROOTS": roots,
        "LEAF": str(tmp_path / "leaf.pem"),
        "LOST": str(tmp_path / "lost.pem"),
        "JUNK": str(tmp_path / "junk"),
    }
    entry = {n: files.get(v, v) if isinstance(v, str) else v for n, v in {**BASE, **change}.items()}
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, {"authorities": [{"name": "own"}, entry]})
    assert any(fault in f and f.startswith("authorities[1]") for f in error.value.faults)
    good = {**BASE, "chain_file": roots}
    assert load(tmp_path, {"authorities": [{"name": "own"}, good]}).authorities[1].chains == CHAINS


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"authorities": {}},
        {"authorities": [5]},
        {"authorities": [], "key": []},
        {"authorities": [], "keys": "release"},
        {"authorities": [{"name": "own"}, {"name": "own"}]},
    ],
)
def test_what_is_no_time_stamps_file_is_refused(tmp_path: Path, document: object) -> None:
    with pytest.raises(ConfigurationError):
        load(tmp_path, document)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, {"keys": 5, "authorities": [{"name": "a"}, {"name": "b", "url": "x"}]})
    assert len(error.value.faults) == 5
