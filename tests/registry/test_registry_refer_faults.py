"""Referrers at registries with the API, and at ones that misbehave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.domain.digests import Digest
from service.domain.errors import (
    AttachConflictError,
    RegistryDeniedError,
    RegistryRefusedError,
    RegistryUnavailableError,
    ServiceError,
)
from service.domain.limits import MAX_REFERRERS
from service.domain.references import Repository
from service.ports.registry import Attached, Referrers
from service.registry import ReferrerAttacher, ReferrerListing, SharedTag, refer
from service.registry.refer import NO_API_SECONDS
from tests.support.attach_process import referrer
from tests.support.oci import TurnedClock, client_for, entry
from tests.support.registry import OCI_INDEX, OCI_MANIFEST
from tests.support.scripted_http import Received, Scripted, ScriptedServer
from tests.support.small_registry import SmallRegistry, descriptor, error, index_of

SUBJECT = Digest("5" * 64)
OURS = referrer("ours", SUBJECT)
TAG = f"sha256-{SUBJECT.hex}"
GONE = Digest.of(b"gone")


class Bench:
    """A small registry, a server for it, and an attacher whose pauses turn its clock."""

    def __init__(self, directory: Path) -> None:
        self.clock = TurnedClock()
        self.registry = SmallRegistry()
        self.server = ScriptedServer(self.registry)
        self._directory = directory
        self._attacher: ReferrerAttacher | None = None

    def attach(self, *, seconds: float = 20) -> Attached:
        if self._attacher is None:
            client = client_for(self._directory, entry(self.server.host), clock=self.clock)
            shared = SharedTag(client, self.clock, sleep=self.clock.turn)
            self._attacher = ReferrerAttacher(client, self.clock, shared)
        repository = Repository(self.server.host, "app")
        return self._attacher.attach(repository, SUBJECT, [OURS], seconds=seconds)

    def listed(self) -> Referrers:
        client = client_for(self._directory, entry(self.server.host), clock=self.clock)
        return ReferrerListing(client).referrers(Repository(self.server.host, "app"), SUBJECT)

    def sent(self, method: str, part: str) -> int:
        return sum(got.method == method and part in got.path for got in self.server.received)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_with_the_api_the_registry_lists_and_no_tag_is_written(bench: Bench) -> None:
    with bench.server:
        assert bench.attach().added
        methods = [got.method for got in bench.server.received]
        # The list, the empty blob, the bundle, the manifest, and the list again.
        assert methods == ["GET", "HEAD", "POST", "PUT", "POST", "PUT", "PUT", "GET"]
        looked = bench.attach()
        assert not looked.added
        assert looked.manifests == (OURS.digest,)
    assert bench.registry.manifests.keys() == {str(OURS.digest)}


def test_a_list_that_changes_looks_different(bench: Bench) -> None:
    with bench.server:
        first = bench.attach()
        bench.registry.manifests["other"] = b'{"subject":"%s"}' % str(SUBJECT).encode()
        assert bench.attach().seen != first.seen


def test_what_the_registry_has_lost_is_pushed_again(bench: Bench) -> None:
    with bench.server:
        bench.attach()
        bench.registry.manifests.clear()
        assert bench.attach().added
    assert str(OURS.digest) in bench.registry.manifests


def test_a_list_of_several_pages_is_read_to_its_end(bench: Bench) -> None:
    bench.registry.page = 2
    for number in range(5):
        bench.registry.manifests[str(number)] = b'{"subject":"%s","n":%d}' % (
            str(SUBJECT).encode(),
            number,
        )
    with bench.server:
        assert len(bench.listed().entries) == 5
        assert bench.attach().added
        assert not bench.attach().added
        assert len(bench.listed().entries) == 6


def test_a_list_without_end_is_read_so_far_and_no_farther(bench: Bench) -> None:
    entries = [descriptor(b"%d" % n) for n in range(100)]
    link = f'</v2/app/referrers/{SUBJECT}?from=1>; rel="next"'
    endless = Scripted(200, {"Content-Type": OCI_INDEX, "Link": link}, index_of(*entries))
    bench.registry.fault = lambda got: endless if "/referrers/" in got.path else None
    with bench.server:
        listed = bench.listed()
        assert (len(listed.entries), listed.complete) == (MAX_REFERRERS, False)
        # Ours may be listed behind them: then the manifest itself has to do.
        assert bench.attach().added
        assert not bench.attach().added


def test_the_list_does_not_lead_to_another_host(bench: Bench) -> None:
    link = '<https://elsewhere.example/v2/app/referrers/x>; rel="next"'
    away = Scripted(200, {"Content-Type": OCI_INDEX, "Link": link}, index_of())
    bench.registry.fault = lambda got: away if "/referrers/" in got.path else None
    with bench.server, pytest.raises(RegistryUnavailableError, match="another host"):
        bench.listed()


def test_a_registry_that_lists_late_is_waited_for(bench: Bench) -> None:
    looks = 0

    def late(request: Received) -> Scripted | None:
        nonlocal looks
        if "/referrers/" not in request.path:
            return None
        looks += 1
        return Scripted(200, {"Content-Type": OCI_INDEX}, index_of()) if looks <= 3 else None

    bench.registry.fault = late
    with bench.server:
        assert bench.attach().added


def test_a_registry_that_never_lists_what_it_takes_is_a_conflict(bench: Bench) -> None:
    never = Scripted(200, {"Content-Type": OCI_INDEX}, index_of())
    bench.registry.fault = lambda got: never if "/referrers/" in got.path else None
    with bench.server, pytest.raises(AttachConflictError, match="does not list"):
        bench.attach(seconds=3600)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Scripted(404, {"Content-Type": "text/plain"}, b"404 page not found"), id="t"),
        pytest.param(error(404, "METHOD_UNKNOWN"), id="crane"),
        pytest.param(error(405, "UNSUPPORTED"), id="405"),
        pytest.param(error(400, "NAME_INVALID"), id="400"),
        pytest.param(Scripted(406), id="406"),
    ],
)
def test_without_the_api_the_index_under_the_tag_is_kept(bench: Bench, answer: Scripted) -> None:
    bench.registry.fault = lambda got: answer if "/referrers/" in got.path else None
    with bench.server:
        assert bench.attach().added
        listed = bench.listed()
        assert [one.descriptor.digest for one in listed.entries] == [OURS.digest]
        assert listed.by_tag
    assert bench.registry.manifests.keys() == {str(OURS.digest), TAG}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(error(401, "UNAUTHORIZED"), RegistryDeniedError, id="401"),
        pytest.param(error(403, "DENIED"), RegistryDeniedError, id="403"),
        pytest.param(error(429, "TOOMANYREQUESTS"), RegistryUnavailableError, id="429"),
        pytest.param(Scripted(500), RegistryUnavailableError, id="500"),
        pytest.param(Scripted(501), RegistryUnavailableError, id="501"),
        pytest.param(
            Scripted(200, {"Content-Type": "text/html"}, b"<html>"),
            RegistryUnavailableError,
            id="h",
        ),
        pytest.param(
            Scripted(200, {"Content-Type": OCI_INDEX}, b"{"), RegistryUnavailableError, id="cut"
        ),
        pytest.param(
            Scripted(200, {"Content-Type": OCI_INDEX}, b'{"a":1,"a":1}'),
            RegistryUnavailableError,
            id="twice",
        ),
    ],
)
def test_what_is_no_answer_of_the_api_is_no_leave_to_write_a_tag(
    bench: Bench, answer: Scripted, expected: type[ServiceError]
) -> None:
    bench.registry.fault = lambda got: answer if "/referrers/" in got.path else None
    with bench.server:
        with pytest.raises(expected):
            bench.attach()
        with pytest.raises(expected):
            bench.listed()
        assert bench.sent("PUT", "/") == 0


def test_that_there_is_no_api_is_remembered_for_minutes_and_by_the_attacher_alone(
    bench: Bench,
) -> None:
    bench.registry.api = False
    with bench.server:
        bench.attach()
        bench.attach()
        assert bench.sent("GET", "/referrers/") == 1
        bench.listed()
        assert bench.sent("GET", "/referrers/") == 2
        bench.clock.turn(NO_API_SECONDS + 1)
        bench.registry.api = True
        assert not bench.attach().added  # it lists what was pushed before
        assert bench.sent("GET", "/referrers/") == 3


def test_a_registry_that_loses_its_api_is_written_to_by_tag_at_once(bench: Bench) -> None:
    with bench.server:
        bench.attach()
        bench.registry.api = False
        assert bench.attach().added
    assert TAG in bench.registry.manifests


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(error(400, "MANIFEST_INVALID"), RegistryRefusedError, id="400"),
        pytest.param(error(404, "MANIFEST_UNKNOWN"), RegistryRefusedError, id="no-subject"),
        pytest.param(error(403, "DENIED"), RegistryDeniedError, id="403"),
        pytest.param(error(415, "UNSUPPORTED"), RegistryRefusedError, id="415"),
        pytest.param(Scripted(503), RegistryUnavailableError, id="503"),
    ],
)
@pytest.mark.parametrize("api", [True, False])
def test_a_refused_manifest_says_whether_a_retry_makes_sense(
    bench: Bench, answer: Scripted, expected: type[ServiceError], api: bool
) -> None:
    bench.registry.api = api
    refused = f"/manifests/{OURS.digest}"
    bench.registry.fault = lambda got: (
        answer if got.method == "PUT" and refused in got.path else None
    )
    with bench.server:
        with pytest.raises(expected) as caught:
            bench.attach()
        assert type(caught.value) is expected
        bench.registry.fault = lambda _: None
        assert bench.attach().added


def test_a_registry_that_takes_no_index_refuses(bench: Bench) -> None:
    bench.registry.api = False
    bench.registry.fault = lambda got: (
        error(400, "MANIFEST_INVALID") if got.method == "PUT" and got.path.endswith(TAG) else None
    )
    with bench.server, pytest.raises(RegistryRefusedError):
        bench.attach()


def test_an_index_that_is_refused_for_want_of_a_manifest_is_looked_through_again(
    bench: Bench,
) -> None:
    bench.registry.api = False
    alive = b'{"mediaType":"' + OCI_MANIFEST.encode() + b'"}'
    bench.registry.manifests[str(Digest.of(alive))] = alive
    bench.registry.manifests[TAG] = index_of(descriptor(alive))

    def vanish(request: Received) -> Scripted | None:
        if request.method == "PUT" and request.path.endswith(TAG):
            bench.registry.fault = lambda _: None
            # Deleted between our look and our write, and ours with it.
            del bench.registry.manifests[str(Digest.of(alive))]
            del bench.registry.manifests[str(OURS.digest)]
            return error(400, "MANIFEST_BLOB_UNKNOWN")
        return None

    bench.registry.fault = vanish
    with bench.server:
        assert bench.attach().added
    listed = json.loads(bench.registry.manifests[TAG])["manifests"]
    assert [one["digest"] for one in listed] == [str(OURS.digest)]
    assert str(OURS.digest) in bench.registry.manifests


@pytest.mark.parametrize("refuses", [False, True])
def test_of_a_long_list_some_are_looked_at_before_a_write_and_all_after_a_refusal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    monkeypatch.setattr(refer, "MAX_LOOKS_BEFORE_A_WRITE", 1)
    bench.registry.api = False
    bench.registry.manifests[TAG] = index_of(descriptor(b"dead"), descriptor(b"gone"))

    def strict(request: Received) -> Scripted | None:
        if (
            request.method == "PUT"
            and request.path.endswith(TAG)
            and str(GONE).encode() in request.body
        ):
            return error(400, "MANIFEST_BLOB_UNKNOWN")
        return None

    if refuses:
        bench.registry.fault = strict
    with bench.server:
        assert bench.attach().added
    listed = [one["digest"] for one in json.loads(bench.registry.manifests[TAG])["manifests"]]
    assert listed == [str(OURS.digest), *([] if refuses else [str(GONE)])]


def test_a_descriptor_is_not_dropped_because_nobody_knows(bench: Bench) -> None:
    bench.registry.api = False
    bench.registry.manifests[TAG] = index_of(descriptor(b"theirs"))
    theirs = str(Digest.of(b"theirs"))
    with bench.server:
        for answer in (Scripted(500), error(403, "DENIED"), Scripted(404, {}, b"<html>no</html>")):
            bench.registry.fault = lambda got, answer=answer: (  # type: ignore[misc]
                answer if got.path.endswith(theirs) else None
            )
            with pytest.raises(ServiceError):
                bench.attach()
            listed = json.loads(bench.registry.manifests[TAG])["manifests"]
            assert [one["digest"] for one in listed] == [theirs]
        bench.registry.fault = lambda _: None
        assert bench.attach().added
    listed = json.loads(bench.registry.manifests[TAG])["manifests"]
    assert [one["digest"] for one in listed] == [str(OURS.digest)]


def test_a_write_that_is_overwritten_at_once_is_repeated_on_what_the_other_left(
    bench: Bench,
) -> None:
    bench.registry.api = False
    theirs = b'{"mediaType":"' + OCI_MANIFEST.encode() + b'"}'

    def overwrite() -> None:
        if TAG in bench.registry.manifests:
            bench.registry.after_write = lambda: None
            bench.registry.manifests[str(Digest.of(theirs))] = theirs
            bench.registry.manifests[TAG] = index_of(descriptor(theirs))

    bench.registry.after_write = overwrite
    with bench.server:
        assert bench.attach().added
    listed = json.loads(bench.registry.manifests[TAG])["manifests"]
    assert [one["digest"] for one in listed] == [str(OURS.digest), str(Digest.of(theirs))]


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(7, id="a-number"),
        pytest.param({"mediaType": OCI_MANIFEST, "size": 1, "digest": "sha512:x"}, id="sha512"),
        pytest.param({"size": 1, "digest": str(SUBJECT)}, id="no-type"),
        pytest.param({"mediaType": OCI_MANIFEST, "size": "1", "digest": str(SUBJECT)}, id="size"),
    ],
)
def test_an_entry_that_cannot_be_followed_is_passed_over(bench: Bench, listed: object) -> None:
    whole = descriptor(b"x", artifactType=7, annotations={"a": "b", "c": 1})
    answer = Scripted(200, {"Content-Type": OCI_INDEX}, index_of(listed, whole))
    bench.registry.fault = lambda got: answer if "/referrers/" in got.path else None
    with bench.server:
        (found,) = bench.listed().entries
    assert found.descriptor.digest == Digest.of(b"x")
    assert (found.unverified_artifact_type, found.unverified_annotations) == (None, {"a": "b"})


def test_an_empty_list_may_be_null(bench: Bench) -> None:
    nothing = Scripted(200, {"Content-Type": OCI_INDEX}, index_of().replace(b"[]", b"null"))
    bench.registry.fault = lambda got: nothing if "/referrers/" in got.path else None
    with bench.server:
        listed = bench.listed()
    assert (listed.entries, listed.by_tag) == ((), False)


def test_a_404_to_a_head_that_says_nothing_is_asked_again_with_a_body(bench: Bench) -> None:
    # As go-containerregistry's registry answers: plain text by its headers, whatever it is.
    def mute(request: Received) -> Scripted | None:
        if request.method == "HEAD" and "/blobs/" in request.path:
            return Scripted(404, {"Content-Type": "text/plain; charset=utf-8"})
        if request.method == "GET" and "/blobs/" in request.path:
            return error(404, "BLOB_UNKNOWN")
        return None

    bench.registry.fault = mute
    with bench.server:
        assert bench.attach().added


def test_a_404_that_is_nobodys_is_no_leave_to_go_on(bench: Bench) -> None:
    bench.registry.fault = lambda got: (
        Scripted(404, {"Content-Type": "text/html"}, b"<html>")
        if "/blobs/sha256" in got.path
        else None
    )
    with bench.server, pytest.raises(RegistryUnavailableError):
        bench.attach()
