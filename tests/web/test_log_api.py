"""The logs as files: what is served is within the checkpoint, in its own form, and for ever."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.domain.audit import AuditEvent
from service.domain.callers import Role
from service.domain.log import LogName
from service.operations.log import (
    ReadAuditLog,
    ReadLog,
    SearchAudit,
    SignatureLog,
    TrustedLogs,
)
from service.store import Store
from service.translog.checkpoints import Checkpoint
from service.translog.logged import log_id
from service.translog.merkle import leaf_hash, root_from_inclusion
from service.translog.notes import Note
from service.translog.proofs import tree_root
from service.translog.tiles import Tile, TiledNodes, split_bundle, split_hashes, tiles_of
from service.web import create_app
from tests.support.logs import make_log, make_log_key, new_signer
from tests.support.merkle import grew
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
    reads = ReadLog(stored.log_reader, stored.cosignatures)
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
    assert grew((size, old_root), (SIZE, new_root), decoded(shown["hashes"]))
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


# --- the events -------------------------------------------------------------------------------


@pytest.fixture
def audited(world: World, stored: Store, logs: SignatureLog) -> FlaskClient:
    operations = replace(world.operations, audit_search=SearchAudit(stored.audit_search))
    return create_app(operations, version="1.2.3").test_client()


def test_events_are_found_by_each_of_their_fields_and_carry_their_leaf(
    audited: FlaskClient, world: World, stored: Store, logs: SignatureLog
) -> None:
    stored.audit.append([AuditEvent("door.opened", "ada", "vault", {"a": "|=\n"})])
    logs.extend(LogName.AUDIT, seconds=20)
    who = world.authorization(Role.AUDITOR)
    newest = audited.get("/v1/audit-events?limit=1", headers=who).json
    (event,) = newest["items"]
    assert (event["action"], event["actor"], event["subject"]) == ("door.opened", "ada", "vault")
    assert event["details"] == {"a": "|=\n"}
    tree = stored.log_writer.tree(LogName.AUDIT)
    assert tree is not None
    assert event["index"] == tree.size - 1
    (leaf,) = stored.log_reader.entries(tree.id, start=event["index"], count=1)
    assert base64.b64decode(event["entry"]) == leaf
    for query, count in (
        ("action=door.opened", 1),
        ("actor=ada", 1),
        ("subject=vault", 1),
        ("action=key.created", 2),
        ("actor=ada&action=key.created", 0),
        (f"since={event['at'].replace('Z', '%2B00:00')}&actor=ada", 1),
        (f"until={event['at']}&actor=ada", 0),
    ):
        found = audited.get(f"/v1/audit-events?{query}", headers=who).json["items"]
        assert len(found) == count, query
    assert newest["next"] is not None
    second = audited.get(f"/v1/audit-events?limit=1&cursor={newest['next']}", headers=who).json
    assert second["items"][0]["index"] == event["index"] - 1


def test_events_are_exported_as_the_leaves_bytes_and_for_collectors(
    audited: FlaskClient, world: World, stored: Store, logs: SignatureLog
) -> None:
    stored.audit.append([AuditEvent("door.denied", "a|da", "x=y\nz", {"a": 1})])
    logs.extend(LogName.AUDIT, seconds=20)
    who = world.authorization(Role.AUDITOR)
    lines = audited.get("/v1/audit-events?format=jsonl&limit=2", headers=who)
    assert lines.content_type == "application/x-ndjson"
    assert lines.headers["X-Next-Cursor"]
    tree = stored.log_writer.tree(LogName.AUDIT)
    assert tree is not None
    leaves = stored.log_reader.entries(tree.id, start=tree.size - 2, count=2)
    assert lines.data.split(b"\n") == [*reversed(leaves), b""]
    (line,) = audited.get("/v1/audit-events?format=cef&limit=1", headers=who).text.splitlines()
    assert line.startswith("CEF:0|Sealwright|sealwright|1.2.3|door.denied|door.denied|8|rt=")
    assert r"suser=a|da cn1Label=index" in line
    assert r"cs2=x\=y\nz" in line
    assert (
        "X-Next-Cursor"
        not in audited.get("/v1/audit-events?format=cef&actor=a|da", headers=who).headers
    )
    (message,) = audited.get(
        "/v1/audit-events?format=syslog&limit=1", headers=who
    ).text.splitlines()
    # Facility 13 (log audit), severity 4 (warning): RFC 5424, 6.2.1.
    header = r"<108>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z - sealwright - door\.denied - "
    assert re.fullmatch(header + re.escape(line), message)
    assert audited.get("/v1/audit-events?format=xml", headers=who).status_code == 422


def test_events_are_for_auditors_alone(audited: FlaskClient, world: World) -> None:
    for role in Role:
        status = audited.get("/v1/audit-events", headers=world.authorization(role)).status_code
        assert (status == 403) is (role is not Role.AUDITOR)


# --- trust ------------------------------------------------------------------------------------


def test_the_trusted_root_lists_every_key_of_the_log_that_counts(
    world: World, stored: Store, logs: SignatureLog
) -> None:
    trusted = TrustedLogs(stored.log_reader, stored.keys)
    files = replace(world.operations.trust_files, logs=trusted)
    web = create_app(replace(world.operations, trust_files=files), version="1").test_client()
    root = web.get("/v1/trust/trusted-root").json
    assert root["mediaType"] == "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
    (log,) = root["tlogs"]
    key = stored.keys.get("log")
    assert key is not None
    spki = key.versions[0].public_key
    assert log["baseUrl"] == "https://log.example.test"
    assert base64.b64decode(log["publicKey"]["rawBytes"]) == spki
    assert base64.b64decode(log["logId"]["keyId"]) == log_id(spki)
    change = (
        "UPDATE key_versions SET state = 'compromised', ever_compromised = true, "
        "compromised_since = {} WHERE key = 'log'"
    )
    stored._database.write(lambda c: c.exec_driver_sql(change.format(1_800_000_000_000)).rowcount)
    (ended,) = web.get("/v1/trust/trusted-root").json["tlogs"]
    assert ended["publicKey"]["validFor"]["end"] == "2027-01-15T08:00:00.000Z"
    stored._database.write(lambda c: c.exec_driver_sql(change.format("NULL")).rowcount)
    assert web.get("/v1/trust/trusted-root").json["tlogs"] == []
