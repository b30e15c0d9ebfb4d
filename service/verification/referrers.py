"""Manifests that refer to an image, as their pushers wrote them, and what judges make of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from service.domain.digests import Descriptor, Digest
from service.domain.keys import KeyVersion
from service.domain.verdicts import SignatureVerdict


@dataclass(frozen=True, slots=True)
class UnverifiedReferrer:
    """A manifest whose bytes are those that its digest names; nothing in them is checked.

    `artifact_type` is the manifest's own, or the media type of its config, as OCI 1.1 has it.
    """

    digest: Digest
    unverified_artifact_type: str
    unverified_layers: tuple[Descriptor, ...]
    unverified_annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Judged:
    """What one referrer is worth.

    `verdict` is None for what is no signature of an image (an attestation). `counts_as_bundle`:
    cosign takes it for a bundle, whoever made it. `signer` is ours that it verifies under, if any.
    """

    verdict: SignatureVerdict | None
    counts_as_bundle: bool = False
    signer: KeyVersion | None = None
    attestation: SignatureVerdict | None = None
    """What an attestation is worth as one."""

    @property
    def other(self) -> str | None:
        """Return who else has made it, if a policy trusts them."""
        if self.verdict is None or not self.verdict.stands:
            return None
        return self.verdict.signer


class ReferrerJudge(Protocol):
    """Judges the signatures of one format; pure."""

    format: str

    def recognises(self, referrer: UnverifiedReferrer) -> bool:
        """Whether it is, or is meant to be, a signature of this format."""
        ...

    def content(self, referrer: UnverifiedReferrer) -> Descriptor | Judged:
        """Return which blob to fetch, or what is wrong without looking into one."""
        ...

    def judge(self, content: bytes, *, subject: Digest, keys: Sequence[KeyVersion]) -> Judged:
        """Judge the blob, whose bytes are those that its digest names."""
        ...


def unverified_referrer(digest: Digest, manifest: bytes) -> UnverifiedReferrer | None:
    """Read a manifest; None if it is none that clients could follow."""
    try:
        document = json.loads(manifest)
        config = document.get("config") or {}
        kind = document.get("artifactType") or config.get("mediaType") or ""
        annotations = document.get("annotations") or {}
        return UnverifiedReferrer(
            digest,
            str(kind),
            tuple(_descriptor(layer) for layer in document.get("layers") or []),
            {name: value for name, value in annotations.items() if isinstance(value, str)},
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _descriptor(layer: dict[str, Any]) -> Descriptor:
    return Descriptor(str(layer["mediaType"]), Digest.parse(layer["digest"]), int(layer["size"]))
