"""What a caller pushes by itself, there and back: nothing is lost, and nothing is believed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from service.domain.digests import Digest
from service.domain.signing import Artifact, LookasideFile, Referrer, SignatureLayer
from service.formats.artifacts import ArtifactMalformedError, artifact_of, attachable_of
from service.formats.bundle import signature_referrer
from service.formats.notation import form
from service.formats.siglist import LOG_ANNOTATION, append_layers
from tests.support.statements import MOMENT, a_subject

DIGEST, OTHER = Digest("a" * 64), Digest("b" * 64)
SUBJECT = a_subject(DIGEST)
LAYER = SignatureLayer(
    "application/json", b"payload", (("dev.cosignproject.cosign/signature", "A"),)
)
BUNDLE = signature_referrer(b'{"bundle":1}', at=MOMENT, subject=SUBJECT)
ENVELOPE = form._referrer(
    b"{}", "application/jose+json", at=MOMENT, subject=SUBJECT, chain=[b"leaf", b"root"]
)


@pytest.mark.parametrize("content", [LAYER, BUNDLE, ENVELOPE, LookasideFile(b"signature")])
def test_what_comes_out_is_what_went_in(
    content: SignatureLayer | Referrer | LookasideFile,
) -> None:
    assert attachable_of(artifact_of(content, SUBJECT), DIGEST) == (content,)


def test_a_layer_that_is_listed_twice_is_so_again() -> None:
    entry = json.dumps({"Payload": {"body": "bm8="}})
    twin = replace(LAYER, twin=(*LAYER.annotations, (LOG_ANNOTATION, entry)))
    first = append_layers(None, [twin])
    again = append_layers(None, attachable_of(artifact_of(twin, SUBJECT), DIGEST))
    assert first is not None
    assert again == first


def changed(artifact: Artifact, old: str, new: str) -> Artifact:
    assert artifact.manifest is not None
    manifest = artifact.manifest.replace(old.encode(), new.encode())
    assert manifest != artifact.manifest
    return replace(artifact, manifest=manifest)


SIG, REFERRER = artifact_of(LAYER, SUBJECT), artifact_of(BUNDLE, SUBJECT)


@pytest.mark.parametrize(
    "artifact",
    [
        pytest.param(replace(SIG, tag="latest"), id="another-tag"),
        pytest.param(replace(SIG, tag=f"sha256-{OTHER.hex}.sig"), id="another-image"),
        pytest.param(replace(SIG, blobs=(b"something else",)), id="another-payload"),
        pytest.param(replace(SIG, manifest=b"{}"), id="no-layers"),
        pytest.param(replace(SIG, manifest=b"no JSON"), id="no-json"),
        pytest.param(changed(REFERRER, DIGEST.hex, OTHER.hex), id="another-subject"),
        pytest.param(replace(REFERRER, blobs=(b"{}",)), id="no-bundle"),
        pytest.param(replace(REFERRER, manifest=b"{}"), id="no-subject"),
        pytest.param(replace(REFERRER, manifest=b'{"subject":null}'), id="null"),
        pytest.param(replace(SIG, manifest=None, blobs=()), id="no-file"),
    ],
)
def test_what_is_not_for_the_image_is_refused(artifact: Artifact) -> None:
    with pytest.raises(ArtifactMalformedError):
        attachable_of(artifact, DIGEST)
