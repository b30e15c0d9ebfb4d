"""What would make a stock client refuse an image that we find good, each with its cure.

Measured on cosign 2.6.5 and 3.1.3, notation-go 1.3.2 and docker-registry 2.8.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.domain.digests import Digest
from service.domain.keys import KeyVersion, Purpose
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.verification.referrers import UnverifiedReferrer

NOTATION: Final = "application/vnd.cncf.notary.signature"
_ENVELOPES: Final = frozenset({"application/jose+json", "application/cose"})


@dataclass(frozen=True, slots=True)
class Listed:
    """A referrer in the order in which clients go through them; `referrer` None: it is gone."""

    digest: Digest
    referrer: UnverifiedReferrer | None
    is_bundle: bool = False
    signer: KeyVersion | None = None
    is_attestation: bool = False
    other: str | None = None
    """Who else has made it, as verdicts name signers."""

    @property
    def by(self) -> str | None:
        return self.other if self.signer is None else named(self.signer)


def named(version: KeyVersion) -> str:
    """Return the name of one of our key versions, as verdicts name signers."""
    return f"{version.key} version {version.version}"


def warnings(layers: Sequence[SignatureVerdict], listed: Sequence[Listed]) -> tuple[Reason, ...]:
    """Tell of everything that a stock client stumbles over. `layers` are those of the `.sig`."""
    return (
        *_foreign_bundles(layers, listed),
        *_attestations_by_image_keys(listed),
        *_dead(listed),
        *_malformed_notation(listed),
    )


def _foreign_bundles(layers: Sequence[SignatureVerdict], listed: Sequence[Listed]) -> list[Reason]:
    bundles = [one for one in listed if one.is_bundle]
    if not bundles:
        return []
    signers = {one.by for one in bundles}
    alone = sorted({s.signer or "" for s in layers if s.stands} - signers)
    return [
        Reason(
            ReasonCode.FOREIGN_BUNDLE,
            f"the image carries {len(bundles)} bundles and none by {signer}: cosign 2.6 and 3 do "
            "not look at its .sig signature then",
            cure="sign the image again in the formats cosign and bundle",
        )
        for signer in alone
    ]


def _attestations_by_image_keys(listed: Sequence[Listed]) -> list[Reason]:
    return [
        Reason(
            ReasonCode.ATTESTATION_BY_IMAGE_KEY,
            f"{one.digest} is an attestation by {named(one.signer)}: "
            "cosign takes it for a signature",
            cure="attest with a key of purpose attestation, and delete this manifest",
        )
        for one in listed
        if one.is_attestation and one.signer is not None and one.signer.purpose is Purpose.IMAGE
    ]


def _dead(listed: Sequence[Listed]) -> list[Reason]:
    dead = [str(one.digest) for one in listed if one.referrer is None]
    if not dead:
        return []
    text = (
        f"what refers to the image is listed and gone: {', '.join(dead[:3])}"
        f"{' and more' if len(dead) > 3 else ''}; notation gives up there"  # noqa: PLR2004 - shown
    )
    cure = "sign the image again: what is gone is left out when the fallback index is written"
    return [Reason(ReasonCode.DEAD_REFERRER, text, cure=cure)]


def _malformed_notation(listed: Sequence[Listed]) -> list[Reason]:
    """Notation aborts at the first signature manifest that it cannot read."""
    signatures = [
        one.referrer
        for one in listed
        if one.referrer is not None and one.referrer.unverified_artifact_type == NOTATION
    ]
    good = [number for number, one in enumerate(signatures) if _well_formed(one)]
    if not good:
        return []
    return [
        Reason(
            ReasonCode.MALFORMED_NOTATION,
            f"{one.digest} is listed before a notation signature and is none: notation stops there",
            cure="delete this manifest at the registry",
        )
        for one in signatures[: good[-1]]
        if not _well_formed(one)
    ]


def _well_formed(referrer: UnverifiedReferrer) -> bool:
    match referrer.unverified_layers:
        case [only]:
            return only.media_type in _ENVELOPES
        case _:
            return False
