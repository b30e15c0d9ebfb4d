"""What callers push who attach by themselves (`attach: false`)."""

from __future__ import annotations

from typing import Final

from service.domain.digests import Descriptor
from service.domain.signing import (
    Artifact,
    Attachable,
    LookasideFile,
    Referrer,
    SignatureLayer,
)
from service.formats import siglist

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
