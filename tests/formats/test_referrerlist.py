"""The index under the fallback tag: ours in, theirs kept, the dead left out, nothing twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Digest
from service.domain.limits import MAX_MANIFEST_BYTES, MAX_REFERRERS
from service.domain.media_types import DOCKER_INDEX, OCI_INDEX, OCI_MANIFEST
from service.domain.signing import Referrer
from service.formats.lists import ListFullError, NotAListError
from service.formats.referrerlist import add_referrers, fallback_tag, listed_manifests

KIND = "application/vnd.dev.sigstore.bundle.v0.3+json"


def ours(name: str = "ours") -> Referrer:
    annotations = (("b", "2"), ("org.opencontainers.image.created", "2026-01-01T00:00:00Z"))
    return Referrer(OCI_MANIFEST, f'{{"{name}":1}}'.encode(), (), KIND, annotations)


def entry(name: str, **more: Any) -> dict[str, Any]:
    content = name.encode()
    return {
        "mediaType": OCI_MANIFEST,
        "size": len(content),
        "digest": str(Digest.of(content)),
        **more,
    }


def index(*entries: object, **more: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries), **more}
    return json.dumps(document).encode()


def added(existing: bytes | None, *referrers: Referrer, without: tuple[str, ...] = ()) -> Any:
    made = add_referrers(existing, referrers, without=frozenset(without))
    assert made is not None
    assert made.media_type == OCI_INDEX
    assert made.blobs == ()
    return json.loads(made.content)


def test_the_tag_is_the_digest_with_a_dash() -> None:
    assert fallback_tag(Digest("5" * 64)) == "sha256-" + "5" * 64


def test_a_new_index_is_as_go_writes_one_with_all_that_the_specification_asks() -> None:
    made = add_referrers(None, [ours()])
    assert made is not None
    manifest = ours().manifest
    assert made.content.decode() == (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":['
        f'{{"mediaType":"{OCI_MANIFEST}","size":{len(manifest)},"digest":"{Digest.of(manifest)}",'
        '"annotations":{"b":"2","org.opencontainers.image.created":"2026-01-01T00:00:00Z"},'
        f'"artifactType":"{KIND}"}}]}}'
    )


def test_descriptors_of_others_are_kept_as_they_are_behind_ours() -> None:
    theirs = entry("theirs", annotations={"x": "<kept>"}, platform={"os": "linux"}, data="e30=")
    made = added(index(theirs, annotations={"of": "the index"}, unknown=1), ours())
    assert made["manifests"][1:] == [theirs]
    assert made["manifests"][0]["digest"] == str(ours().digest)
    assert (made["annotations"], made["unknown"]) == ({"of": "the index"}, 1)


def test_one_that_is_listed_is_not_listed_again() -> None:
    there = add_referrers(None, [ours(), ours("more")])
    assert there is not None
    assert add_referrers(there.content, [ours()]) is None
    assert add_referrers(there.content, [ours("more"), ours()]) is None


def test_ours_without_type_or_annotations_gets_them_and_keeps_what_it_has() -> None:
    # As go-containerregistry rewrites an index that it has read.
    bare = {
        "mediaType": OCI_MANIFEST,
        "size": len(ours().manifest),
        "digest": str(ours().digest),
        "annotations": {"theirs": "kept"},
    }
    (mended,) = added(index(bare), ours())["manifests"]
    assert mended["artifactType"] == KIND
    assert mended["annotations"] == {"theirs": "kept", **dict(ours().annotations)}


def test_what_the_registry_has_lost_is_left_out_unless_it_is_ours() -> None:
    dead, alive = entry("dead"), entry("alive")
    made = added(index(dead, alive), ours(), without=(dead["digest"], str(ours().digest)))
    assert [one["digest"] for one in made["manifests"]] == [str(ours().digest), alive["digest"]]
    # Also where ours is in place already.
    there = added(index(dead), ours())
    again = added(json.dumps(there).encode(), ours(), without=(dead["digest"],))
    assert [one["digest"] for one in again["manifests"]] == [str(ours().digest)]


@pytest.mark.parametrize("empty", [index(), index().replace(b"[]", b"null")])
def test_an_empty_index_is_an_index(empty: bytes) -> None:
    assert len(added(empty, ours())["manifests"]) == 1


def test_an_index_may_leave_its_media_type_out() -> None:
    assert len(added(b'{"schemaVersion":2,"manifests":[]}', ours())["manifests"]) == 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"not json", id="not-json"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(json.dumps({"mediaType": OCI_MANIFEST, "layers": []}).encode(), id="image"),
        pytest.param(
            json.dumps({"mediaType": DOCKER_INDEX, "manifests": []}).encode(), id="docker"
        ),
        pytest.param(index().replace(b"[]", b"{}"), id="manifests-are-an-object"),
        pytest.param(index(7), id="an-entry-is-a-number"),
        pytest.param(index({"digest": 7}), id="a-digest-is-a-number"),
        pytest.param(index(entry("x", annotations=[1])), id="annotations-are-a-list"),
        pytest.param(index()[:-1] + b',"manifests":[]}', id="manifests-twice"),
    ],
)
def test_what_is_no_index_is_never_replaced(content: bytes) -> None:
    with pytest.raises(NotAListError):
        add_referrers(content, [ours()])
    with pytest.raises(NotAListError):
        listed_manifests(content)


def test_an_index_that_is_full_is_not_written() -> None:
    full = index(*(entry(str(number)) for number in range(MAX_REFERRERS)))
    with pytest.raises(ListFullError):
        add_referrers(full, [ours()])
    assert len(added(index(*json.loads(full)["manifests"][1:]), ours())["manifests"]) == (
        MAX_REFERRERS
    )
    with pytest.raises(ListFullError):
        add_referrers(index(entry("x", annotations={"x": "y" * MAX_MANIFEST_BYTES})), [ours()])


def test_what_an_index_names_is_listed_as_far_as_it_is_named_by_sha256() -> None:
    other = {"mediaType": OCI_MANIFEST, "size": 1, "digest": "sha512:" + "0" * 128}
    (found,) = listed_manifests(index(entry("one"), other))
    assert (found.digest, found.media_type) == (Digest.of(b"one"), OCI_MANIFEST)


names = st.lists(st.text(st.characters(codec="ascii"), max_size=5), unique=True, max_size=6)


@given(theirs=names, mine=names.filter(bool), dead=st.sets(st.integers(0, 5)))
def test_no_order_of_writers_loses_what_is_alive_or_lists_anything_twice(
    theirs: list[str], mine: list[str], dead: set[int]
) -> None:
    entries = [entry(name) for name in theirs]
    gone = frozenset(e["digest"] for number, e in enumerate(entries) if number in dead)
    referrers = [ours(name) for name in mine]
    content = index(*entries)
    for referrer in referrers:
        made = add_referrers(content, [referrer], without=gone)
        assert made is not None
        content = made.content
    listed = [one["digest"] for one in json.loads(content)["manifests"]]
    assert sorted(listed) == sorted(
        [e["digest"] for e in entries if e["digest"] not in gone]
        + [str(referrer.digest) for referrer in referrers]
    )
    assert add_referrers(content, referrers, without=gone) is None
