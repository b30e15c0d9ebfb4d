"""The logs as files: what is served is within the checkpoint, in its own form, and for ever."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.domain.callers import Role
from service.domain.log import LogName
from service.operations.log import ReadAuditLog, ReadLog, SignatureLog
from service.store import Store
from service.translog.checkpoints import Checkpoint
from service.translog.merkle import leaf_hash, root_from_consistency, root_from_inclusion
from service.translog.notes import Note
from service.translog.proofs import tree_root
from service.translog.tiles import Tile, TiledNodes, split_bundle, split_hashes, tiles_of
from service.web import create_app
from tests.support.logs import make_log, make_log_key, new_signer
from tests.support.operations import World
from tests.support.records import a_statement, an_intent, make_key, sign

SIZE = 300


@pytest.fixture
def stored(sqlite_store_url: str) -> Iterator[Store]:
    store = Store(sqlite_store_url)
    yield store
    store.close()


@pytest.fixture
def logs(stored: Store, tmp_path: Path) -> SignatureLog:
    """A log of SIZE entries, with three more that no checkpoint covers."""
    signer = new_signer()
    make_key(stored)
    make_log_key(stored, signer)
    log = make_log(stored, signer, tmp_path / "outside")
    sign(stored, *(an_intent(a_statement(n), item=n) for n in range(SIZE)))
    log.extend(LogName.SIGNATURES, seconds=20)
    log.extend(LogName.AUDIT, seconds=20)
    late = [an_intent(a_statement(f"late {n}"), request_id="late", item=n) for n in range(3)]
    sign(stored, *late, owner="late")
    stored.log_writer.integrate(LogName.SIGNATURES, owner="x", seconds=60, limit=10)
    return log


@pytest.fixture
def web(world: World, stored: Store, logs: SignatureLog) -> FlaskClient:
    reads = ReadLog(stored.log_reader)
    operations = replace(world.operations, log=reads, audit_log=ReadAuditLog(reads))
    return create_app(operations, version="1.2.3").test_client()


def head_of(text: str) -> Checkpoint:
    return Checkpoint.parse(Note.parse(text).unverified_text)


def fetcher(web: FlaskClient, prefix: str, who: Mapping[str, str]) -> Callable[[Tile], list[bytes]]:
    def fetch(tile: Tile) -> list[bytes]:
        found = web.get(f"{prefix}/{tile.path()}", headers=who)
        assert (found.status_code, found.content_type) == (200, "application/octet-stream")
        return list(split_hashes(found.data, tile.width))

    return fetch


@pytest.mark.parametrize("prefix", ["/v1/log", "/v1/audit-log"])
def test_the_tree_is_rebuilt_from_its_tiles_and_its_bundles(
    web: FlaskClient, world: World, prefix: str
) -> None:
    who = world.authorization(Role.AUDITOR) if "audit" in prefix else {}
    found = web.get(f"{prefix}/checkpoint", headers=who)
    assert found.content_type == "text/plain; charset=utf-8"
    head = head_of(found.text)
    assert head.size >= (SIZE if prefix == "/v1/log" else 3)
    nodes = TiledNodes(head.size, fetcher(web, prefix, who))
    assert tree_root(head.size, nodes) == head.root
    entries: list[bytes] = []
    for tile in tiles_of(head.size):
        if tile.level == 0:
            path = replace(tile, level=None).path()
            content = web.get(f"{prefix}/{path}", headers=who).data
            entries += split_bundle(content, tile.width)
    assert [leaf_hash(one) for one in entries] == [nodes(0, n) for n in range(head.size)]


def test_what_never_changes_says_so_and_what_does_does_not(web: FlaskClient, world: World) -> None:
    assert web.get("/v1/log/checkpoint").headers["Cache-Control"] == "public, max-age=1"
    tile = web.get("/v1/log/tile/0/000").headers["Cache-Control"]
    assert tile == "public, max-age=31536000, immutable"
    who = world.authorization(Role.AUDITOR)
    assert web.get("/v1/audit-log/checkpoint", headers=who).headers["Cache-Control"] == "no-store"
    private = web.get("/v1/audit-log/tile/0/000.p/2", headers=who).headers["Cache-Control"]
    assert private.startswith("private,")


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001.p/45",  # integrated, and not under a checkpoint yet
        "tile/0/001",
        "tile/0/002.p/1",
        "tile/1/000.p/2",
        "tile/2/000.p/1",
        "tile/entries/001.p/45",
        "tile/64/000",
        "tile/0/0",
        "tile/0/x000/000",
        "tile/x/000",
        "tile/0/000.p/0",
    ],
)
def test_what_the_checkpoint_does_not_cover_is_not_there(web: FlaskClient, path: str) -> None:
    missing = web.get(f"/v1/log/{path}")
    assert (missing.status_code, missing.json["code"]) == (404, "not-found")
    assert missing.headers["Cache-Control"] == "no-store"
    assert web.get("/v1/log/tile/0/001.p/44").status_code == 200


def test_a_narrower_partial_tile_of_an_older_tree_is_still_served(web: FlaskClient) -> None:
    assert web.get("/v1/log/tile/0/000").data.startswith(web.get("/v1/log/tile/0/000.p/7").data)


def decoded(values: list[str]) -> list[bytes]:
    return [base64.b64decode(value) for value in values]


@pytest.mark.parametrize("size", [1, 255, 256, 257, SIZE])
def test_proofs_of_inclusion_and_consistency_lead_to_the_root(web: FlaskClient, size: int) -> None:
    newest = head_of(web.get("/v1/log/checkpoint").text)
    shown = web.get(f"/v1/log/proofs/consistency?from={size}").json
    assert (shown["from"], shown["to"]) == (size, SIZE)
    (old_root, new_root) = decoded([shown["from_root"], shown["to_root"]])
    assert new_root == newest.root
    implied = root_from_consistency(
        old_size=size, old_root=old_root, new_size=SIZE, proof=decoded(shown["hashes"])
    )
    assert implied == new_root
    for index in {0, size - 1}:
        proof = web.get(f"/v1/log/proofs/inclusion?index={index}&tree_size={size}").json
        (leaf,) = decoded([proof["leaf_hash"]])
        root = root_from_inclusion(leaf, index=index, size=size, proof=decoded(proof["hashes"]))
        assert root == old_root == base64.b64decode(proof["root"])
    assert web.get("/v1/log/proofs/inclusion?index=0").json["tree_size"] == SIZE


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("inclusion", "index"),
        ("inclusion?index=x", "index"),
        (f"inclusion?index={SIZE}", "index"),
        (f"inclusion?index=0&tree_size={SIZE + 1}", "tree_size"),
        ("inclusion?index=0&tree_size=0", "tree_size"),
        ("consistency", "from"),
        ("consistency?from=0", "from"),
        (f"consistency?from=1&to={SIZE + 1}", "to"),
        ("consistency?from=3&to=2", "from"),
        ("consistency?from=1&size=2", "size"),
    ],
)
def test_what_cannot_be_proven_is_told_by_field(web: FlaskClient, query: str, field: str) -> None:
    answer = web.get(f"/v1/log/proofs/{query}")
    assert answer.status_code == 422
    assert field in answer.json["errors"]


PATHS = [
    "checkpoint",
    "tile/0/000",
    "tile/entries/000.p/1",
    "proofs/inclusion?index=0",
    "proofs/consistency?from=1",
]


@pytest.mark.parametrize("path", PATHS)
def test_the_audit_log_is_for_auditors_alone(web: FlaskClient, world: World, path: str) -> None:
    assert web.get(f"/v1/audit-log/{path}").status_code == 401
    for role in Role:
        status = web.get(f"/v1/audit-log/{path}", headers=world.authorization(role)).status_code
        assert (status == 403) is (role is not Role.AUDITOR)


@pytest.mark.parametrize("path", PATHS)
def test_before_the_first_checkpoint_there_is_nothing(world: World, path: str) -> None:
    empty = create_app(world.operations, version="1.2.3").test_client()
    assert empty.get(f"/v1/log/{path}").status_code == 404
