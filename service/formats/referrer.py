"""Manifests that refer to an image (OCI image specification 1.1, "Image Manifest": `subject`).

Written as cosign v3 writes them, to the byte: the members in the order of go-containerregistry,
the type of the artifact both in the manifest and in its config's descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from service.domain.digests import Descriptor, Digest
from service.domain.media_types import OCI_MANIFEST
from service.domain.signing import Referrer
from service.formats import strictjson

EMPTY_MEDIA_TYPE: Final = "application/vnd.oci.empty.v1+json"
EMPTY: Final = b"{}"
CREATED: Final = "org.opencontainers.image.created"


def bundle_referrer(
    blob: bytes,
    *,
    media_type: str,
    annotations: Sequence[tuple[str, str]],
    subject: Descriptor,
) -> Referrer:
    """Return a manifest with one layer, whose media type is that of the artifact too."""
    ordered = tuple(sorted(annotations))
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {**_descriptor(EMPTY, EMPTY_MEDIA_TYPE), "artifactType": media_type},
        "layers": [_descriptor(blob, media_type)],
        "annotations": dict(ordered),
        "subject": {
            "mediaType": subject.media_type,
            "size": subject.size,
            "digest": str(subject.digest),
        },
        "artifactType": media_type,
    }
    return Referrer(
        media_type=OCI_MANIFEST,
        manifest=strictjson.dump_plain(manifest),
        blobs=(EMPTY, blob),
        artifact_type=media_type,
        annotations=ordered,
    )


def created(moment: datetime) -> tuple[str, str]:
    """Return the annotation that tells when, in whole seconds as all clients write it."""
    return (CREATED, moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(content), "digest": str(Digest.of(content))}
