"""What callers push who attach by themselves (`attach: false`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from service.domain.digests import Descriptor, Digest
from service.domain.signing import (
    Artifact,
    Attachable,
    LookasideFile,
    Referrer,
    SignatureLayer,
)
from service.formats import siglist, strictjson

LOOKASIDE_MEDIA_TYPE: Final = "application/pgp-signature"


def artifact_of(content: Attachable, subject: Descriptor) -> Artifact:
    """Return manifest and blobs that hold nothing but this content."""
    match content:
        case SignatureLayer():
            made = siglist.append_layers(None, [content])
            if made is None:
                raise ValueError("an empty list lacks no signature")
            return Artifact(
                tag=siglist.signature_tag(subject.digest),
                subject=None,
                media_type=made.media_type,
                manifest=made.content,
                blobs=(content.content, *made.blobs),
            )
        case Referrer():
            return Artifact(
                tag=None,
                subject=subject,
                media_type=content.media_type,
                manifest=content.manifest,
                blobs=content.blobs,
            )
        case LookasideFile():
            # No registry takes it: it is a file for a lookaside of the caller's own.
            return Artifact(
                tag=None,
                subject=subject,
                media_type=LOOKASIDE_MEDIA_TYPE,
                manifest=None,
                blobs=(content.content,),
            )


class ArtifactMalformedError(ValueError):
    """What is to be pushed does not fit together, or is not for this image."""


def attachable_of(artifact: Artifact, subject: Digest) -> tuple[Attachable, ...]:
    """Return what `artifact_of` was made from, to be merged into the lists of `subject`.

    Nothing is believed: blobs are known by their own digests, and the manifest must be for the
    image.

    Raises:
        ArtifactMalformedError: it is not.
    """
    blobs = {str(Digest.of(blob)): blob for blob in artifact.blobs}
    if artifact.manifest is None:
        if len(artifact.blobs) != 1:
            raise ArtifactMalformedError("not one file for a lookaside")
        return (LookasideFile(artifact.blobs[0]),)
    try:
        manifest = strictjson.load(artifact.manifest)
        if artifact.tag is None:
            return (_referrer(artifact, manifest, subject),)
        return _layers(artifact, manifest, blobs, subject)
    except ArtifactMalformedError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactMalformedError("not an artifact that could be pushed") from error


def _layers(
    artifact: Artifact, manifest: Any, blobs: Mapping[str, bytes], subject: Digest
) -> tuple[SignatureLayer, ...]:
    if artifact.tag != siglist.signature_tag(subject):
        raise ArtifactMalformedError("the signature is for another image")
    return tuple(
        SignatureLayer(
            str(entry["mediaType"]),
            blobs[entry["digest"]],
            _annotations(entry.get("annotations")),
        )
        for entry in manifest["layers"]
    )


def _referrer(artifact: Artifact, manifest: Any, subject: Digest) -> Referrer:
    if manifest["subject"]["digest"] != str(subject):
        raise ArtifactMalformedError("the manifest refers to another image")
    wanted = {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    if not wanted <= {str(Digest.of(blob)) for blob in artifact.blobs}:
        raise ArtifactMalformedError("a blob of the manifest is missing")
    # OCI image specification 1.1: where there is no artifactType, the config's type stands for it.
    kind = manifest.get("artifactType") or manifest["config"]["mediaType"]
    return Referrer(
        media_type=artifact.media_type,
        manifest=artifact.manifest or b"",
        blobs=artifact.blobs,
        artifact_type=str(kind),
        annotations=_annotations(manifest.get("annotations")),
    )


def _annotations(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(text)) for name, text in (value or {}).items())
