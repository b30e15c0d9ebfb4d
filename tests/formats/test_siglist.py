"""The shared list under the `.sig` tag: ours in, theirs kept, nothing twice."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Digest
from service.domain.limits import MAX_MANIFEST_BYTES, MAX_SIGNATURE_LAYERS
from service.domain.signing import SignatureLayer
from service.formats.lists import ListFullError, NotAListError
from service.formats.siglist import append_layers, listed_digests

MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
NAME = "dev.cosignproject.cosign/signature"
LOG = "dev.sigstore.cosign/bundle"
OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"

PAYLOAD = (
    b'{"critical":{"identity":{"docker-reference":"127.0.0.1:5000/samples/legacy"},'
    b'"image":{"docker-manifest-digest":'
    b'"sha256:cd28ecbbfcad47cf34e433ec94947d3ac7f840b0aee89293f1e1df828a200931"},'
    b'"type":"cosign container image signature"},"optional":null}'
)
SIGNATURE = "MEQCICfpHjwxPj2sQn3rnbOxJR+AyJlY8kxOqXU5tHRztyDcAiAYGFZU9W+6MkW4oIEfaftDRIps58MG0vilajlgKgChag=="
# What cosign v3.1.3 writes for them, without its log annotation.
MANIFEST = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'
    b'{"mediaType":"application/vnd.oci.image.config.v1+json","size":233,"digest":'
    b'"sha256:b40e1f1014252cdd6ea1c409670be4227475a629753b5bc6663e37550564e1ca"},"layers":['
    b'{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":245,"digest":'
    b'"sha256:4d32cd297191e830ade6d7c8883019d07fa4ac43cff61437b6afd147439371b7","annotations":'
    b'{"dev.cosignproject.cosign/signature":"' + SIGNATURE.encode() + b'"}}]}'
)


def layer(content: bytes, signature: str, **more: str) -> SignatureLayer:
    return SignatureLayer(MEDIA_TYPE, content, ((NAME, signature), *more.items()))


def appended(existing: bytes | None, *layers: SignatureLayer) -> dict[str, Any]:
    made = append_layers(existing, layers)
    assert made is not None
    document: dict[str, Any] = json.loads(made.content)
    (config_blob,) = made.blobs
    assert document["config"]["digest"] == str(Digest.of(config_blob))
    assert document["config"]["size"] == len(config_blob)
    assert document["mediaType"] == made.media_type
    config = json.loads(config_blob)
    assert config["rootfs"]["diff_ids"] == [entry["digest"] for entry in document["layers"]]
    assert len(config["history"]) == len(document["layers"])
    return document


def foreign(**more: object) -> dict[str, Any]:
    return {
        "mediaType": MEDIA_TYPE,
        "size": 7,
        "digest": str(Digest.of(b"foreign")),
        "annotations": {NAME: "Zm9yZWlnbg==", "dev.sigstore.cosign/bundle": '{"a":"<b>"}'},
        **more,
    }


def listing(*entries: object, **more: object) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI, "config": {}, "layers": list(entries), **more}
    return json.dumps(document).encode()


def test_the_first_signature_gives_cosigns_own_manifest_to_the_byte() -> None:
    made = append_layers(None, [layer(PAYLOAD, SIGNATURE)])
    assert made is not None
    assert made.content == MANIFEST


def test_signing_again_changes_nothing() -> None:
    assert append_layers(MANIFEST, [layer(PAYLOAD, SIGNATURE)]) is None


def test_one_payload_with_two_signatures_is_two_signatures() -> None:
    assert len(appended(MANIFEST, layer(PAYLOAD, "b3RoZXI="))["layers"]) == 2


def test_the_same_signature_twice_in_one_call_is_listed_once() -> None:
    twice = [layer(b"p", "cQ=="), layer(b"p", "cQ==")]
    assert len(appended(None, *twice)["layers"]) == 1


def test_layers_of_others_are_kept_with_all_that_they_carry() -> None:
    entries = [
        foreign(urls=["https://x.example/"], unheard={"of": [1, None]}),
        {"mediaType": "x/y", "size": 1, "digest": str(Digest.of(b"z")), "annotations": None},
        {"mediaType": "x/y", "size": 1, "digest": "sha512:ab"},
    ]
    existing = listing(*entries, annotations={"their": "<own>"}, unheard=True)
    document = appended(existing, layer(b"p", "cQ=="))
    assert document["layers"][:-1] == entries
    assert document["layers"][-1]["digest"] == str(Digest.of(b"p"))
    assert document["annotations"] == {"their": "<own>"}
    assert document["unheard"] is True


def test_a_signature_that_lacks_our_annotations_gets_them_in_its_place() -> None:
    before = appended(None, layer(b"p", "cQ=="), layer(b"q", "cg=="))
    before["layers"][0]["annotations"]["theirs"] = "kept"
    document = appended(json.dumps(before).encode(), layer(b"p", "cQ==", bundle="proof"))
    assert document["layers"][0]["annotations"] == {
        NAME: "cQ==",
        "theirs": "kept",
        "bundle": "proof",
    }
    assert len(document["layers"]) == 2
    assert (
        append_layers(json.dumps(document).encode(), [layer(b"p", "cQ==", bundle="proof")]) is None
    )


def test_a_docker_manifest_stays_one() -> None:
    document = appended(listing(foreign(), mediaType=DOCKER), layer(b"p", "cQ=="))
    assert document["mediaType"] == DOCKER
    assert document["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"


def test_a_manifest_that_does_not_name_its_type_is_an_oci_manifest() -> None:
    nameless = json.loads(listing(foreign()))
    del nameless["mediaType"]
    assert appended(json.dumps(nameless).encode(), layer(b"p", "cQ=="))["mediaType"] == OCI


def test_what_the_registry_has_lost_is_left_out_but_never_ours() -> None:
    ours = layer(b"p", "cQ==")
    existing = append_layers(listing(foreign()), [ours])
    assert existing is not None
    assert listed_digests(existing.content) == (Digest.of(b"foreign"), ours.digest)
    lost = frozenset({str(Digest.of(b"foreign")), str(ours.digest)})
    made = append_layers(existing.content, [ours], without=lost)
    assert made is not None
    assert listed_digests(made.content) == (ours.digest,)


@pytest.mark.parametrize(
    "existing",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="web-page"),
        pytest.param(b"[]", id="list"),
        pytest.param(listing(mediaType="application/vnd.oci.image.index.v1+json"), id="index"),
        pytest.param(listing(mediaType=7), id="type-is-a-number"),
        pytest.param(listing("x"), id="layer-is-a-text"),
        pytest.param(listing({"digest": 7}), id="digest-is-a-number"),
        pytest.param(listing(foreign(annotations=["x"])), id="annotations-are-a-list"),
        pytest.param(listing(layers=None), id="no-layers"),
        pytest.param(listing(foreign(x="\ud800")), id="lone-surrogate"),
        pytest.param(b'{"layers":[],"layers":[]}', id="layers-twice"),
        pytest.param(listing(x=0).replace(b'"x": 0', b'"x": 1e999'), id="infinity"),
    ],
)
def test_what_is_no_signature_list_is_never_replaced(existing: bytes) -> None:
    assert append_layers(listing(foreign()), [layer(b"p", "cQ==")]) is not None
    with pytest.raises(NotAListError):
        append_layers(existing, [layer(b"p", "cQ==")])
    with pytest.raises(NotAListError):
        listed_digests(existing)


def test_digests_of_another_hash_cannot_be_looked_for() -> None:
    with pytest.raises(NotAListError):
        listed_digests(listing(foreign(digest="sha512:00")))


def test_no_more_layers_are_listed_than_cosign_reads() -> None:
    full = [layer(b"p", str(number)) for number in range(MAX_SIGNATURE_LAYERS)]
    made = append_layers(None, full)
    assert made is not None
    assert append_layers(made.content, full[:1]) is None
    with pytest.raises(ListFullError):
        append_layers(made.content, [layer(b"p", "one more")])


def test_no_manifest_is_made_that_a_registry_need_not_take() -> None:
    with pytest.raises(ListFullError):
        append_layers(None, [layer(b"p", "x" * MAX_MANIFEST_BYTES)])


contents = st.binary(min_size=1, max_size=4)
layers = st.lists(st.builds(layer, contents, st.text("abc", max_size=2)), min_size=1, max_size=8)


@given(layers, layers)
def test_in_any_order_each_signature_is_listed_once(
    one: list[SignatureLayer], two: list[SignatureLayer]
) -> None:
    first = append_layers(None, one)
    assert first is not None
    second = append_layers(first.content, two) or first
    listed = [
        (entry["digest"], entry["annotations"][NAME])
        for entry in json.loads(second.content)["layers"]
    ]
    assert len(listed) == len(set(listed))
    assert set(listed) == {(str(s.digest), dict(s.annotations)[NAME]) for s in (*one, *two)}
    assert append_layers(second.content, [*two, *one]) is None


@given(st.binary(max_size=40))
def test_no_bytes_break_the_list(existing: bytes) -> None:
    with pytest.raises(NotAListError):
        append_layers(existing, [layer(b"p", "cQ==")])


def proof_of(kind: str, promise: str = "") -> str:
    body = base64.b64encode(json.dumps({"kind": kind, "apiVersion": "0.0.1"}).encode()).decode()
    return json.dumps({"SignedEntryTimestamp": promise, "Payload": {"body": body}})


def test_a_layer_with_a_twin_is_listed_twice_and_its_blob_once() -> None:
    one, two = proof_of("hashedrekord"), proof_of("rekord")
    twins = replace(layer(PAYLOAD, SIGNATURE, **{LOG: one}), twin=((NAME, SIGNATURE), (LOG, two)))
    document = appended(None, twins)
    assert [entry["annotations"][LOG] for entry in document["layers"]] == [one, two]
    assert len({entry["digest"] for entry in document["layers"]}) == 1
    assert append_layers(json.dumps(document).encode(), [twins]) is None


@pytest.mark.parametrize("theirs", ["", "not JSON", '{"Payload":{"body":7}}', '{"Payload":{}}'])
def test_a_layer_with_no_proof_or_a_broken_one_gets_ours(theirs: str) -> None:
    before = layer(PAYLOAD, SIGNATURE, **({LOG: theirs} if theirs else {}))
    ours = layer(PAYLOAD, SIGNATURE, **{LOG: proof_of("hashedrekord")})
    document = appended(json.dumps(appended(None, before)).encode(), ours)
    (entry,) = document["layers"]
    assert entry["annotations"][LOG] == proof_of("hashedrekord")


def test_a_newer_promise_takes_the_place_of_the_older() -> None:
    old = layer(PAYLOAD, SIGNATURE, **{LOG: proof_of("hashedrekord", "old")})
    new = layer(PAYLOAD, SIGNATURE, **{LOG: proof_of("hashedrekord", "new")})
    (entry,) = appended(json.dumps(appended(None, old)).encode(), new)["layers"]
    assert entry["annotations"][LOG] == proof_of("hashedrekord", "new")
