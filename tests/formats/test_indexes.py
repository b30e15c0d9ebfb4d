"""Indexes: every manifest that somebody could pull, and nothing that two readers see differently."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Digest
from service.domain.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from service.formats.indexes import IndexMalformedError, entries_of


def entry(name: str, **more: Any) -> dict[str, Any]:
    digest = str(Digest.of(name.encode()))
    return {"mediaType": OCI_MANIFEST, "size": 5, "digest": digest, **more}


def index(*entries: object) -> bytes:
    return json.dumps({"mediaType": OCI_INDEX, "manifests": list(entries)}).encode()


def test_manifests_are_listed_in_order_with_their_platforms() -> None:
    found = entries_of(
        index(
            entry("a", platform={"os": "linux", "architecture": "arm64", "variant": "v8"}),
            entry("b", mediaType=DOCKER_MANIFEST, platform={"os": "windows"}),
            entry("c"),
            entry("d", mediaType=OCI_INDEX),
        )
    )
    assert [one.descriptor.digest for one in found] == [Digest.of(n.encode()) for n in "abcd"]
    assert [one.platform for one in found] == ["linux/arm64/v8", "windows", None, None]
    assert [one.is_index for one in found] == [False, False, False, True]


def test_an_attestation_that_buildx_lists_is_a_manifest_like_the_others() -> None:
    (found,) = entries_of(
        index(
            entry(
                "attestation",
                platform={"architecture": "unknown", "os": "unknown"},
                annotations={"vnd.docker.reference.type": "attestation-manifest"},
            )
        )
    )
    assert found.platform == "unknown/unknown"


def test_what_is_no_manifest_is_no_image() -> None:
    assert entries_of(index(entry("blob", mediaType="application/octet-stream"))) == ()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b"{}", id="no-manifests"),
        pytest.param(index().replace(b"[]", b"{}"), id="manifests-are-an-object"),
        pytest.param(index(7), id="an-entry-is-a-number"),
        pytest.param(index({"size": 1, "digest": "x"}), id="no-media-type"),
        pytest.param(index(entry("a", size="5")), id="size-is-text"),
        pytest.param(index(entry("a", size=True)), id="size-is-a-bool"),
        pytest.param(index(entry("a", digest="sha512:" + "0" * 128)), id="sha512"),
        pytest.param(index()[:-1] + b',"manifests":[]}', id="manifests-twice"),
    ],
)
def test_an_index_that_cannot_be_followed_is_malformed(content: bytes) -> None:
    with pytest.raises(IndexMalformedError):
        entries_of(content)


@given(
    st.binary() | st.dictionaries(st.text(), st.integers()).map(lambda v: json.dumps(v).encode())
)
def test_no_bytes_break_the_parser(content: bytes) -> None:
    with pytest.raises(IndexMalformedError):
        entries_of(content)
