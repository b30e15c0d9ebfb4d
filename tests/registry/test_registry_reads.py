"""Reads at a real registry and at hostile ones: a value, a no, or nobody knows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from service.domain.digests import Descriptor, Digest
from service.domain.errors import (
    RegistryDeniedError,
    RegistryNotConfiguredError,
    RegistryUnavailableError,
    ServiceError,
)
from service.domain.references import Repository
from service.registry import OCIClient, RegistryHealthCheck
from tests.support.oci import client_for, entry
from tests.support.ports import free_port
from tests.support.registry import OCI_INDEX, OCI_MANIFEST, DockerRegistry, StartRegistry
from tests.support.scripted_http import Received, Scripted, ScriptedServer

REPOSITORY = "reads/app"
ABSENT = Digest("0" * 64)
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}).encode()
DIGEST = Digest.of(MANIFEST)
ERRORS = b'{"errors":[{"code":"%s","message":"m"}]}'
JSON = {"Content-Type": "application/json"}
TYPED = {"Content-Type": OCI_MANIFEST}

Ask = Callable[[OCIClient, Repository], object]


def by_tag(client: OCIClient, repository: Repository) -> object:
    return client.manifest(repository, "1.0")


def by_digest(client: OCIClient, repository: Repository) -> object:
    return client.manifest(repository, DIGEST)


def a_blob(client: OCIClient, repository: Repository) -> object:
    return client.blob(repository, DIGEST)


def the_head(client: OCIClient, repository: Repository) -> object:
    return client.resolve(repository, "1.0")


# --- a real registry ---


def test_what_is_there_is_told_as_it_is(registry: DockerRegistry, tmp_path: Path) -> None:
    client = client_for(tmp_path, entry(registry.host))
    repository = Repository(registry.host, REPOSITORY)
    digest = registry.push_image(REPOSITORY, "1.0")
    index = registry.push_index(REPOSITORY, [digest], "multi")
    stored = registry.get_manifest(REPOSITORY, "1.0")
    assert stored is not None
    described = Descriptor(OCI_MANIFEST, digest, len(stored.content))
    for reference in ("1.0", digest):
        assert client.resolve(repository, reference) == described
        found = client.manifest(repository, reference)
        assert found is not None
        assert (found.descriptor, found.content) == (described, stored.content)
    multi = client.resolve(repository, "multi")
    assert multi is not None
    assert (multi.media_type, multi.digest) == (OCI_INDEX, index)
    layer = Digest.parse(json.loads(stored.content)["layers"][0]["digest"])
    blob = client.blob(repository, layer)
    assert blob == registry.get_blob(REPOSITORY, layer)
    assert client.has_blob(repository, layer, deadline=None)


def test_what_is_not_there_is_none(registry: DockerRegistry, tmp_path: Path) -> None:
    client = client_for(tmp_path, entry(registry.host))
    registry.push_image(REPOSITORY, "1.0")
    for path in (REPOSITORY, "reads/never-pushed"):
        repository = Repository(registry.host, path)
        for reference in ("absent", ABSENT):
            assert client.resolve(repository, reference) is None
            assert client.manifest(repository, reference) is None
        assert client.blob(repository, ABSENT) is None
        assert not client.has_blob(repository, ABSENT, deadline=None)


def test_a_registry_that_is_away_is_neither_and_comes_back(
    start_registry: StartRegistry, tmp_path: Path
) -> None:
    there = start_registry()
    digest = there.push_image("app", "1.0")
    client = client_for(tmp_path, entry(there.host))
    repository = Repository(there.host, "app")
    for _ in range(2):  # the second time over a connection from before
        assert client.resolve(repository, "1.0") is not None
        there.stop()
        for ask in (by_tag, by_digest, a_blob, the_head):
            with pytest.raises(RegistryUnavailableError):
                ask(client, repository)
        there.start()
    assert client.resolve(repository, digest) is not None


def test_a_public_name_reaches_the_same_registry(registry: DockerRegistry, tmp_path: Path) -> None:
    digest = registry.push_image(REPOSITORY, "1.0")
    for fields in (
        entry(registry.host, public_name="images.example.com"),
        entry("images.example.com", address=registry.host),
    ):
        client = client_for(tmp_path, fields)
        found = client.resolve(Repository("images.example.com", REPOSITORY), "1.0")
        assert found is not None
        assert found.digest == digest


def test_a_registry_that_is_not_configured_is_never_asked(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    digest = registry.push_image(REPOSITORY, "1.0")
    client = client_for(tmp_path, entry("other.example"))
    for ask in (by_tag, by_digest, a_blob, the_head):
        with pytest.raises(RegistryNotConfiguredError):
            ask(client, Repository(registry.host, REPOSITORY))
    known = client_for(tmp_path, entry(registry.host))
    assert known.resolve(Repository(registry.host, REPOSITORY), digest) is not None


def test_health_names_each_registry_and_what_is_wrong(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    page = Scripted(headers={"Content-Type": "text/html"}, body=b"<html>")
    with ScriptedServer(lambda _: page) as web, ScriptedServer(lambda _: Scripted(503)) as broken:
        client = client_for(tmp_path, entry(registry.host), entry(web.host), entry(broken.host))
        health = dict(RegistryHealthCheck(client).check())
    assert health[registry.host] is None
    assert health[web.host] is not None
    assert "503" in str(health[broken.host])


# --- scripted ones ---


def outcome(tmp_path: Path, answer: Scripted, ask: Ask) -> object:
    with ScriptedServer(lambda _: answer) as server:
        # Who answers is waited for, however slow the machine is.
        limits = {"timeout_seconds": 0.3 if answer.silent else 60}
        client = client_for(tmp_path, entry(server.host, limits=limits))
        return ask(client, Repository(server.host, "app"))


def test_a_plain_good_answer_is_a_value(tmp_path: Path) -> None:
    """The positive control of every hostile answer below."""
    good = Scripted(headers={**TYPED, "Docker-Content-Digest": str(DIGEST)}, body=MANIFEST)
    for ask in (by_tag, by_digest, a_blob, the_head):
        assert outcome(tmp_path, good, ask) is not None


def test_a_registrys_own_404_is_absence(tmp_path: Path) -> None:
    for code in (b"MANIFEST_UNKNOWN", b"NAME_UNKNOWN", b"BLOB_UNKNOWN", b"NOT_FOUND"):
        for ask in (by_tag, by_digest, a_blob, the_head):
            assert outcome(tmp_path, Scripted(404, JSON, ERRORS % code), ask) is None
    bare = Scripted(404, {"Docker-Distribution-Api-Version": "registry/2.0"})
    for ask in (by_tag, by_digest, a_blob, the_head):
        assert outcome(tmp_path, bare, ask) is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Scripted(404, {"Content-Type": "text/html"}, b"<html>"), id="404-web-page"),
        pytest.param(Scripted(404, {}, b"404 page not found\n"), id="404-no-such-route"),
        pytest.param(Scripted(404), id="404-of-who-knows-whom"),
        pytest.param(Scripted(404, JSON, b"{}"), id="404-json-without-errors"),
        pytest.param(Scripted(404, JSON, b'{"errors":[]}'), id="404-no-errors"),
        pytest.param(Scripted(404, JSON, b'{"errors":[7]}'), id="404-errors-are-numbers"),
        pytest.param(Scripted(404, JSON, ERRORS % b"METHOD_UNKNOWN"), id="404-no-such-method"),
        pytest.param(Scripted(404, JSON, ERRORS % b"TOOMANYREQUESTS"), id="404-too-many"),
        pytest.param(
            Scripted(404, JSON, ERRORS % b"MANIFEST_UNKNOWN", claimed_length=500), id="404-cut"
        ),
        pytest.param(Scripted(400, JSON, ERRORS % b"MANIFEST_UNKNOWN"), id="400"),
        pytest.param(Scripted(410, JSON, ERRORS % b"MANIFEST_UNKNOWN"), id="410"),
        pytest.param(Scripted(412, JSON, ERRORS % b"PROJECTPOLICYVIOLATION"), id="412"),
        pytest.param(Scripted(429), id="429"),
        pytest.param(Scripted(500), id="500"),
        pytest.param(Scripted(503, {}, b"x" * 200_000), id="503-with-a-long-body"),
        pytest.param(Scripted(204), id="204"),
        pytest.param(Scripted(200, {"Content-Type": "text/html"}, b"<html>"), id="200-web-page"),
        pytest.param(Scripted(200, TYPED), id="200-empty"),
        pytest.param(Scripted(200, TYPED, MANIFEST[:-9]), id="200-half"),
        pytest.param(Scripted(200, TYPED, MANIFEST, claimed_length=900), id="200-cut"),
        pytest.param(Scripted(200, TYPED, b"x" * 1024, endless=True), id="200-endless"),
        pytest.param(Scripted(200, TYPED, gzip.compress(MANIFEST)), id="200-compressed"),
        pytest.param(Scripted(301, {"Location": "http://elsewhere.example/x"}), id="301-elsewhere"),
        pytest.param(Scripted(307, {"Location": "file:///etc/passwd"}), id="307-file"),
        pytest.param(Scripted(307), id="307-nowhere"),
        pytest.param(Scripted(307, {"Location": "/again"}), id="307-for-ever"),
        pytest.param(Scripted(307, {"Location": "http://h:port/"}), id="307-to-no-port"),
        pytest.param(Scripted(307, {"Location": "http://[h/"}), id="307-to-no-url"),
        pytest.param(Scripted(307, {"Location": "/a b\x7f\u00e9?c d"}), id="307-odd-characters"),
        pytest.param(Scripted(307, {"Location": "http://127.0.0.1:0/"}), id="307-port-0"),
        pytest.param(Scripted(silent=True), id="silence"),
    ],
)
@pytest.mark.parametrize("ask", [by_tag, by_digest, a_blob, the_head])
def test_what_is_no_answer_is_never_a_no(tmp_path: Path, answer: Scripted, ask: Ask) -> None:
    with pytest.raises(RegistryUnavailableError):
        outcome(tmp_path, answer, ask)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Scripted(silent=True), "did not answer in time"),
        (Scripted(200, TYPED, MANIFEST, claimed_length=900), "broke its answer off"),
        (Scripted(301, {"Location": "http://elsewhere.example/x"}), "redirects to 'elsewhere"),
        (Scripted(307, {"Location": "http://u:secret@h:1/"}), "redirects to 'h:1', which is not"),
        (Scripted(307, {"Location": "http://[h/"}), "redirects to '', which is not"),
    ],
)
def test_what_is_no_answer_says_what_it_was(tmp_path: Path, answer: Scripted, said: str) -> None:
    with pytest.raises(RegistryUnavailableError, match=said):
        outcome(tmp_path, answer, by_tag)


def test_a_registry_that_cannot_be_reached_says_how_far_one_comes(tmp_path: Path) -> None:
    for host, said in (
        (f"127.0.0.1:{free_port()}", "cannot be connected to"),
        ("registry.invalid", "has a name that cannot be resolved"),
    ):
        client = client_for(tmp_path, entry(host))
        with pytest.raises(RegistryUnavailableError, match=said):
            client.resolve(Repository(host, REPOSITORY), "1.0")
    with ScriptedServer(lambda _: Scripted(503)) as plain:
        client = client_for(tmp_path, {"host": plain.host})
        with pytest.raises(RegistryUnavailableError, match=r"by TLS: .*WRONG_VERSION_NUMBER"):
            client.resolve(Repository(plain.host, REPOSITORY), "1.0")


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_no_answer_either(tmp_path: Path, status: int) -> None:
    for ask in (by_tag, by_digest, a_blob, the_head):
        with pytest.raises(RegistryDeniedError):
            outcome(tmp_path, Scripted(status, JSON, ERRORS % b"DENIED"), ask)


def test_other_content_than_was_asked_for_is_no_answer(tmp_path: Path) -> None:
    other = MANIFEST + b" "
    named = {**TYPED, "Docker-Content-Digest": str(Digest.of(other))}
    assert outcome(tmp_path, Scripted(200, named, other), by_tag) is not None
    for ask in (by_digest, a_blob):
        with pytest.raises(RegistryUnavailableError, match="not sha256"):
            outcome(tmp_path, Scripted(200, named, other), ask)
    # The head says one thing, the content another.
    for ask in (by_tag, by_digest):
        lying = {**TYPED, "Docker-Content-Digest": str(ABSENT)}
        with pytest.raises(RegistryUnavailableError):
            outcome(tmp_path, Scripted(200, lying, MANIFEST), ask)

    def head_by_digest(client: OCIClient, repository: Repository) -> object:
        return client.resolve(repository, DIGEST)

    with pytest.raises(RegistryUnavailableError):
        outcome(tmp_path, Scripted(200, named, other), head_by_digest)


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        pytest.param(OCI_INDEX, MANIFEST, id="header-and-content-disagree"),
        pytest.param("application/json", MANIFEST, id="no-manifest-type"),
        pytest.param("application/vnd.docker.distribution.manifest.v1+prettyjws", b"{}", id="v1"),
        pytest.param(OCI_MANIFEST, b"[]", id="a-list"),
        pytest.param(OCI_MANIFEST, b"{", id="no-json"),
        pytest.param(OCI_MANIFEST, b"[" * 100_000, id="deep"),
        pytest.param(OCI_MANIFEST, b'{"mediaType":7}', id="type-is-a-number"),
        pytest.param(OCI_MANIFEST, b'{"mediaType":[]}', id="type-is-a-list"),
    ],
)
def test_what_is_no_manifest_of_a_known_type_is_no_answer(
    tmp_path: Path, media_type: str, content: bytes
) -> None:
    with pytest.raises(RegistryUnavailableError):
        outcome(tmp_path, Scripted(200, {"Content-Type": media_type}, content), by_tag)


def test_a_manifest_without_a_type_inside_has_that_of_its_header(tmp_path: Path) -> None:
    answer = Scripted(200, {"Content-Type": f"{OCI_MANIFEST}; charset=utf-8"}, b"{}")
    assert outcome(tmp_path, answer, by_tag) is not None


def test_a_head_that_does_not_tell_all_is_followed_by_a_get(tmp_path: Path) -> None:
    for headers in (
        {},
        {"Docker-Content-Digest": "sha512:" + "0" * 128},
        {"Docker-Content-Digest": "nonsense"},
    ):
        with ScriptedServer(lambda _, h=headers: Scripted(200, {**TYPED, **h}, MANIFEST)) as server:  # type: ignore[misc]
            found = client_for(tmp_path, entry(server.host)).resolve(
                Repository(server.host, "app"), "1.0"
            )
            assert [got.method for got in server.received] == ["HEAD", "GET"]
        assert found == Descriptor(OCI_MANIFEST, DIGEST, len(MANIFEST))


def test_sizes_are_limited_as_configured(tmp_path: Path) -> None:
    big = json.dumps({"mediaType": OCI_MANIFEST, "x": "y" * 2048}).encode()
    with ScriptedServer(lambda _: Scripted(200, TYPED, big)) as server:
        repository = Repository(server.host, "app")
        fits = entry(server.host, limits={"max_manifest_bytes": len(big)})
        assert client_for(tmp_path, fits).manifest(repository, "1.0") is not None
        small = entry(server.host, limits={"max_manifest_bytes": len(big) - 1})
        with pytest.raises(RegistryUnavailableError, match="more than"):
            client_for(tmp_path, small).manifest(repository, "1.0")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("999999999999999999999", 3600.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("Fri, 31 Dec 2999 23:59:59 GMT", 3600.0),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_retry_after_is_passed_on(tmp_path: Path, text: str, seconds: float | None) -> None:
    for status in (429, 503):
        with pytest.raises(RegistryUnavailableError) as caught:
            outcome(tmp_path, Scripted(status, {"Retry-After": text}), by_tag)
        assert caught.value.retry_after == seconds


def test_a_registrys_own_words_are_shown_shortened_and_without_control_characters(
    tmp_path: Path,
) -> None:
    words = json.dumps({"errors": [{"code": "DENIED", "message": "no\x1b[31m\n" + "x" * 999}]})
    with pytest.raises(ServiceError) as caught:
        outcome(tmp_path, Scripted(403, JSON, words.encode()), by_tag)
    assert "DENIED no" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_every_request_says_who_asks_and_asks_for_plain_manifests(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Scripted(200, TYPED, MANIFEST)) as server:
        client_for(tmp_path, entry(server.host)).manifest(Repository(server.host, "app"), "1.0")
        [got] = server.received
    assert isinstance(got, Received)
    assert "cosign" in got.headers["user-agent"]
    assert got.headers["accept-encoding"] == "identity"
    assert OCI_MANIFEST in got.headers["accept"]
    assert OCI_INDEX in got.headers["accept"]
    assert "authorization" not in got.headers


def test_what_fails_is_not_repeated_in_secret(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Scripted(503)) as server:
        client = client_for(tmp_path, entry(server.host))
        with pytest.raises(RegistryUnavailableError):
            client.manifest(Repository(server.host, "app"), "1.0")
        assert len(server.received) == 1
