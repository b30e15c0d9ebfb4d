"""Attaching at a registry that misbehaves: lost writes, refusals, races and deadlines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from service.domain.digests import Digest
from service.domain.errors import (
    AttachConflictError,
    RegistryDeniedError,
    RegistryNotConfiguredError,
    RegistryRefusedError,
    RegistryUnavailableError,
    ServiceError,
)
from service.domain.limits import MAX_SIGNATURE_LAYERS
from service.domain.references import Repository
from service.registry import OCIClient, SharedTag, SigTagAttacher
from service.registry.shared import FIRST_PAUSE_SECONDS, MAX_ROUNDS, TORN_READS
from tests.support.attach_process import SIGNATURE, layer
from tests.support.oci import TurnedClock, client_for, entry
from tests.support.registry import OCI_INDEX, OCI_MANIFEST
from tests.support.scripted_http import Received, Scripted, ScriptedServer

SUBJECT = Digest("5" * 64)
JSON = {"Content-Type": "application/json"}
OURS = [layer("ours")]

Fault = Callable[[Received], Scripted | None]


def error(status: int, code: str, **headers: str) -> Scripted:
    body = json.dumps({"errors": [{"code": code, "message": "m"}]}).encode()
    return Scripted(status, {**JSON, **headers}, body)


class SmallRegistry:
    """A registry of one repository in memory; `fault` may answer in its place."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifest: bytes | None = None
        self.media_type = OCI_MANIFEST
        self.fault: Fault = lambda _: None
        self.after_write: Callable[[], None] = lambda: None

    def __call__(self, request: Received) -> Scripted:
        return self.fault(request) or self._answer(request)

    def names(self) -> list[str]:
        layers = json.loads(self.manifest or b'{"layers":[]}')["layers"]
        return [entry["annotations"][SIGNATURE] for entry in layers]

    def _answer(self, request: Received) -> Scripted:
        url = urlsplit(request.path)
        blob = re.fullmatch(r"/v2/app/blobs/(sha256:[0-9a-f]{64})", url.path)
        match request.method:
            case "HEAD" if blob:
                return Scripted(200) if blob[1] in self.blobs else error(404, "BLOB_UNKNOWN")
            case "GET" if self.manifest is None:
                return error(404, "MANIFEST_UNKNOWN")
            case "GET":
                return Scripted(200, {"Content-Type": self.media_type}, self.manifest or b"")
            case "POST":
                return Scripted(202, {"Location": "/upload/1"})
            case "PUT" if url.path.startswith("/upload/"):
                self.blobs[parse_qs(url.query)["digest"][0]] = request.body
                return Scripted(201)
            case _:
                self.manifest = request.body
                self.after_write()
                return Scripted(201)


class Bench:
    """A small registry, a server for it, and an attacher whose pauses turn its clock."""

    def __init__(self, directory: Path) -> None:
        self.clock = TurnedClock()
        self.registry = SmallRegistry()
        self.server = ScriptedServer(self.registry)
        self._directory = directory
        self.client: OCIClient

    def attach(self, *, seconds: float = 20) -> bool:
        self.client = client_for(self._directory, entry(self.server.host), clock=self.clock)
        shared = SharedTag(self.client, self.clock, sleep=self.clock.turn)
        attacher = SigTagAttacher(self.client, self.clock, shared)
        repository = Repository(self.server.host, "app")
        return attacher.attach(repository, SUBJECT, OURS, seconds=seconds).added

    def writes(self) -> int:
        return sum(
            got.method == "PUT" and "/manifests/" in got.path for got in self.server.received
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_first_attach_takes_seven_requests_and_a_look_one(bench: Bench) -> None:
    with bench.server:
        assert bench.attach()
        methods = [got.method for got in bench.server.received]
        assert methods == ["GET", "POST", "PUT", "POST", "PUT", "PUT", "GET"]
        assert not bench.attach()
        assert len(bench.server.received) == 8


def test_a_write_that_is_overwritten_at_once_is_repeated_on_what_the_other_left(
    bench: Bench,
) -> None:
    theirs = json.dumps(
        {
            "mediaType": OCI_MANIFEST,
            "layers": [{"digest": str(Digest.of(b"x")), "annotations": {SIGNATURE: "theirs"}}],
        }
    ).encode()

    def overwrite() -> None:
        bench.registry.after_write = lambda: None
        bench.registry.manifest = theirs

    bench.registry.after_write = overwrite
    with bench.server:
        assert bench.attach()
    assert bench.registry.names() == ["theirs", "ours"]
    assert bench.writes() == 2


def test_others_who_overwrite_again_and_again_are_a_conflict(bench: Bench) -> None:
    def overwrite() -> None:
        bench.registry.manifest = None

    bench.registry.after_write = overwrite
    with bench.server, pytest.raises(AttachConflictError):
        bench.attach(seconds=3600)
    assert bench.writes() == MAX_ROUNDS


def test_nothing_is_written_after_the_deadline(bench: Bench) -> None:
    def overwrite() -> None:
        bench.registry.manifest = None

    def slow_read_back(request: Received) -> Scripted | None:
        # What is left of the deadline is a real time-out too: so it becomes short only when
        # the last answer is on its way.
        if request.method == "GET" and bench.writes():
            bench.clock.turn(8 - FIRST_PAUSE_SECONDS / 10)
        return None

    bench.registry.after_write = overwrite
    bench.registry.fault = slow_read_back
    with bench.server, pytest.raises(AttachConflictError, match="time was up"):
        bench.attach(seconds=8)
    assert bench.writes() == 1
    assert bench.clock.monotonic() < 8


def test_a_registry_that_is_slow_is_not_written_to_after_the_deadline(bench: Bench) -> None:
    def slow(request: Received) -> Scripted | None:
        bench.clock.turn(3)
        return None

    bench.registry.fault = slow
    with bench.server:
        with pytest.raises(RegistryUnavailableError):
            bench.attach(seconds=10)
        assert bench.writes() == 0
        assert bench.attach(seconds=60)  # the same pace is no fault in more time


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        pytest.param(OCI_INDEX, b'{"manifests":[]}', id="index"),
        pytest.param(OCI_MANIFEST, b'{"layers":7}', id="layers-are-a-number"),
        pytest.param(OCI_MANIFEST, b'{"layers":[],"layers":[]}', id="layers-twice"),
    ],
)
def test_what_is_no_list_of_signatures_is_left_alone(
    bench: Bench, media_type: str, content: bytes
) -> None:
    document = json.loads(content)
    if document.get("manifests") is not None:
        content = json.dumps({"mediaType": media_type, **document}).encode()
    bench.registry.media_type, bench.registry.manifest = media_type, content
    with bench.server, pytest.raises(AttachConflictError, match="something else"):
        bench.attach()
    assert bench.registry.manifest == content


def test_a_full_list_is_refused(bench: Bench) -> None:
    full = [{"digest": f"sha256:{number:064x}"} for number in range(MAX_SIGNATURE_LAYERS)]
    bench.registry.manifest = json.dumps({"mediaType": OCI_MANIFEST, "layers": full}).encode()
    with bench.server, pytest.raises(RegistryRefusedError, match="no room"):
        bench.attach()
    assert bench.writes() == 0


@pytest.mark.parametrize("place", ["POST", "PUT /upload", "PUT /v2/app/manifests"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(error(401, "UNAUTHORIZED"), RegistryDeniedError, id="401"),
        pytest.param(error(403, "DENIED"), RegistryDeniedError, id="403"),
        pytest.param(error(400, "TAG_INVALID"), RegistryRefusedError, id="400"),
        pytest.param(error(404, "NAME_UNKNOWN"), RegistryRefusedError, id="404"),
        pytest.param(error(409, "TAG_IMMUTABLE"), RegistryRefusedError, id="409"),
        pytest.param(Scripted(413, {}, b"<html>"), RegistryRefusedError, id="413"),
        pytest.param(Scripted(404, {}, b"<html>"), RegistryUnavailableError, id="404-page"),
        pytest.param(Scripted(408), RegistryUnavailableError, id="408"),
        pytest.param(Scripted(429, {"Retry-After": "9"}), RegistryUnavailableError, id="429"),
        pytest.param(Scripted(500), RegistryUnavailableError, id="500"),
        pytest.param(Scripted(200, {}, b"<html>"), RegistryUnavailableError, id="200"),
        pytest.param(Scripted(307, {"Location": "/x"}), RegistryUnavailableError, id="307"),
    ],
)
def test_a_refused_write_says_whether_a_retry_makes_sense(
    bench: Bench, place: str, answer: Scripted, expected: type[ServiceError]
) -> None:
    bench.registry.fault = lambda got: (
        answer if f"{got.method} {got.path}".startswith(place) else None
    )
    with bench.server:
        with pytest.raises(expected) as caught:
            bench.attach()
        assert type(caught.value) is expected
        assert caught.value.retry_after == (9.0 if answer.status == 429 else None)
        bench.registry.fault = lambda _: None
        assert bench.attach()


def test_another_upload_of_the_same_blob_does_not_matter(bench: Bench) -> None:
    def raced(request: Received) -> Scripted | None:
        if not request.path.startswith("/upload/"):
            return None
        bench.registry.fault = lambda _: None
        # The other one won: the blob is there.
        bench.registry.blobs[parse_qs(urlsplit(request.path).query)["digest"][0]] = request.body
        return error(400, "DIGEST_INVALID")

    bench.registry.fault = raced
    with bench.server:
        assert bench.attach()
    assert bench.registry.names() == ["ours"]


def test_an_upload_that_is_always_disturbed_is_tried_again_later(bench: Bench) -> None:
    bench.registry.fault = lambda got: (
        error(400, "DIGEST_INVALID") if got.path.startswith("/upload/") else None
    )
    with bench.server, pytest.raises(RegistryUnavailableError, match="another"):
        bench.attach()
    assert bench.writes() == 0


def test_a_blob_that_vanishes_before_the_manifest_is_uploaded_again(bench: Bench) -> None:
    def vanish(request: Received) -> Scripted | None:
        if request.method == "PUT" and "/manifests/" in request.path:
            bench.registry.fault = lambda _: None
            bench.registry.blobs.clear()
            return error(400, "MANIFEST_BLOB_UNKNOWN")
        return None

    bench.registry.fault = vanish
    with bench.server:
        assert bench.attach()
    assert str(OURS[0].digest) in bench.registry.blobs


def test_a_read_that_meets_a_half_written_link_is_repeated_a_few_times(bench: Bench) -> None:
    broken = 2

    def torn(request: Received) -> Scripted | None:
        nonlocal broken
        if request.method != "GET" or broken == 0:
            return None
        broken -= 1
        return error(500, "UNKNOWN")

    bench.registry.fault = torn
    with bench.server:
        assert bench.attach()
        broken = 1000
        with pytest.raises(RegistryUnavailableError, match="500"):
            bench.attach()
        assert broken == 1000 - TORN_READS


def test_a_registry_that_stores_other_content_is_not_believed(bench: Bench) -> None:
    bench.registry.fault = lambda got: (
        Scripted(201, {"Docker-Content-Digest": str(SUBJECT)})
        if "/manifests/" in got.path and got.method == "PUT"
        else None
    )
    with bench.server, pytest.raises(RegistryUnavailableError, match="other content"):
        bench.attach()


def test_a_host_that_is_not_configured_is_never_written_to(bench: Bench) -> None:
    with bench.server:
        bench.attach()
        shared = SharedTag(bench.client, bench.clock)
        attacher = SigTagAttacher(bench.client, bench.clock, shared)
        with pytest.raises(RegistryNotConfiguredError):
            attacher.attach(Repository("r.example", "app"), SUBJECT, OURS, seconds=20)
