"""References as docker parses them (distribution/reference)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Digest
from service.domain.errors import InvalidReferenceError
from service.domain.limits import MAX_REFERENCE_CHARS, MAX_REPOSITORY_CHARS
from service.domain.references import Reference, Repository

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "host", "path", "tag"),
    [
        ("ubuntu", "docker.io", "library/ubuntu", None),
        ("ubuntu:22.04", "docker.io", "library/ubuntu", "22.04"),
        ("team/app", "docker.io", "team/app", None),
        ("docker.io/ubuntu", "docker.io", "library/ubuntu", None),
        ("index.docker.io/ubuntu", "docker.io", "library/ubuntu", None),
        ("localhost/app", "localhost", "app", None),
        ("localhost:5000", "docker.io", "library/localhost", "5000"),
        ("localhost:5000/app", "localhost:5000", "app", None),
        ("127.0.0.1:5000/a/b/c:x_Y.z-1", "127.0.0.1:5000", "a/b/c", "x_Y.z-1"),
        ("[::1]:5000/app", "[::1]:5000", "app", None),
        ("[2001:db8::1]/app:1", "[2001:db8::1]", "app", "1"),
        ("Registry/app", "Registry", "app", None),
        ("registry.example.com/a.b/c_d/e__f/g---h", "registry.example.com", "a.b/c_d/e__f/g---h", None),
        ("xn--n3h.example/app", "xn--n3h.example", "app", None),
        ("r.example/" + HEX, "r.example", HEX, None),
    ],
)  # fmt: skip
def test_a_reference_is_read_as_docker_reads_it(
    text: str, host: str, path: str, tag: str | None
) -> None:
    assert Reference.parse(text) == Reference(Repository(host, path), tag, None)
    with_digest = Reference.parse(f"{text}@sha256:{HEX}")
    assert with_digest == Reference(Repository(host, path), tag, Digest(HEX))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(":1", id="tag-alone"),
        pytest.param(f"@sha256:{HEX}", id="digest-alone"),
        pytest.param("r.example/", id="no-path"),
        pytest.param("/app", id="no-host"),
        pytest.param("r.example//app", id="empty-component"),
        pytest.param("r.example/app/", id="slash-at-the-end"),
        pytest.param("r.example/App", id="upper-case-path"),
        pytest.param("r.example/../app", id="dots"),
        pytest.param("r.example/a..b", id="two-dots"),
        pytest.param("r.example/a___b", id="three-underscores"),
        pytest.param("r.example/-a", id="begins-with-a-separator"),
        pytest.param("r.example/a-", id="ends-with-a-separator"),
        pytest.param("r.example/app:", id="empty-tag"),
        pytest.param("r.example/app:-x", id="tag-begins-with-a-dash"),
        pytest.param("r.example/app:" + "x" * 129, id="long-tag"),
        pytest.param("r.example/app:1\n", id="newline"),
        pytest.param("r.example/app:é", id="tag-is-not-ascii"),
        pytest.param("r.example/app:\uff11", id="digit-is-not-ascii"),
        pytest.param(" r.example/app", id="space"),
        pytest.param("https://r.example/app", id="url"),
        pytest.param("user@r.example/app", id="user"),
        pytest.param("r.example:port/app", id="port-is-no-number"),
        pytest.param("-r.example/app", id="host-begins-with-a-dash"),
        pytest.param("r..example/app", id="host-with-an-empty-label"),
        pytest.param("[::1/app", id="open-bracket"),
        pytest.param("[::1%eth0]/app", id="zone"),
        pytest.param("r.example/app?x=1", id="query"),
        pytest.param("r.example/%61pp", id="percent"),
        pytest.param("r.example/app@sha256:" + HEX[:-1], id="short-digest"),
        pytest.param("r.example/app@sha256:" + HEX.upper(), id="upper-case-digest"),
        pytest.param("r.example/app@sha512:" + HEX * 2, id="sha512"),
        pytest.param(f"r.example/app@sha256:{HEX}@sha256:{HEX}", id="two-digests"),
        pytest.param(f"r.example/app@sha256:{HEX}:1", id="tag-behind-the-digest"),
        pytest.param("r.example/" + "a" * (MAX_REPOSITORY_CHARS + 1), id="long-path"),
        pytest.param("r.example/a" + "/a" * MAX_REFERENCE_CHARS, id="long-reference"),
        pytest.param(HEX, id="an-identifier-is-not-a-name"),
    ],
)
def test_what_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        Reference.parse(text)


def test_a_repository_has_neither_tag_nor_digest() -> None:
    assert Repository.parse("r.example/team/app") == Repository("r.example", "team/app")
    for text in ("r.example/team/app:1", f"r.example/team/app@sha256:{HEX}"):
        with pytest.raises(InvalidReferenceError):
            Repository.parse(text)


_component = st.from_regex(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+){0,2}", fullmatch=True)
_paths = st.lists(_component, min_size=1, max_size=4).map("/".join).filter(lambda p: len(p) < 200)
_hosts = st.sampled_from(["r.example", "localhost", "127.0.0.1:5000", "[::1]:5000", "UPPER"])
_tags = st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
_digests = st.none() | st.binary().map(Digest.of)


@given(_hosts, _paths, _tags, _digests)
def test_what_is_written_is_read_back(
    host: str, path: str, tag: str | None, digest: Digest | None
) -> None:
    reference = Reference(Repository(host, path), tag, digest)
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=80) | st.text("a0.:/@_-[]", max_size=40))
def test_any_text_is_a_reference_or_refused_and_reading_twice_changes_nothing(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return
    assert Reference.parse(str(reference)) == reference
