"""What would make a stock client refuse a good image is told, with its cure, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.digests import Descriptor, Digest
from service.domain.keys import Purpose
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.verification.referrers import UnverifiedReferrer
from service.verification.stock import NOTATION, Listed, warnings
from tests.support.statements import a_version

OURS = a_version(b"spki")
GOOD = Reason(ReasonCode.SIGNATURE_VALID, "good")
LAYER = SignatureVerdict("cosign", stands=True, reason=GOOD, key="release", version=1)
BAD_LAYER = replace(LAYER, stands=False)


def referrer(*layers: str, kind: str = "") -> UnverifiedReferrer:
    described = tuple(Descriptor(layer, Digest("1" * 64), 5) for layer in layers)
    return UnverifiedReferrer(Digest("2" * 64), kind, described, {})


OUR_BUNDLE = Listed(Digest("a" * 64), referrer(), is_bundle=True, signer=OURS)
FOREIGN = Listed(Digest("b" * 64), referrer(), is_bundle=True)
SBOM = Listed(Digest("c" * 64), referrer(), is_bundle=True, is_attestation=True)
OTHER = Listed(Digest("d" * 64), referrer("text/plain", kind="application/spdx+json"))
DEAD = Listed(Digest("e" * 64), None)
NOTARY = Listed(Digest("f" * 64), referrer("application/jose+json", kind=NOTATION))
NO_NOTARY = Listed(Digest("9" * 64), referrer("text/plain", kind=NOTATION))
TWO_LAYERS = Listed(
    Digest("8" * 64), referrer("application/cose", "application/cose", kind=NOTATION)
)


def codes(layers: list[SignatureVerdict], listed: list[Listed]) -> list[ReasonCode]:
    told = warnings(layers, listed)
    assert all(reason.cure for reason in told)
    return [reason.code for reason in told]


@pytest.mark.parametrize("foreign", [FOREIGN, SBOM])
def test_a_foreign_bundle_beside_only_our_layer_is_told(foreign: Listed) -> None:
    assert codes([LAYER], [foreign, OTHER]) == [ReasonCode.FOREIGN_BUNDLE]


@pytest.mark.parametrize(
    ("layers", "listed"),
    [
        pytest.param([LAYER], [OUR_BUNDLE, FOREIGN], id="ours-is-there-too"),
        pytest.param([LAYER], [OTHER, NOTARY], id="no-bundle"),
        pytest.param([BAD_LAYER], [FOREIGN], id="no-good-layer"),
        pytest.param([], [FOREIGN], id="no-layer"),
    ],
)
def test_where_cosign_finds_ours_there_is_nothing_to_tell(
    layers: list[SignatureVerdict], listed: list[Listed]
) -> None:
    assert codes(layers, listed) == []


def test_each_key_whose_bundle_is_missing_is_named() -> None:
    second = replace(LAYER, version=2)
    (told,) = warnings([LAYER, second], [OUR_BUNDLE])
    assert "release version 2" in told.text


def test_an_attestation_by_an_image_key_is_told_and_one_by_its_own_key_is_not() -> None:
    by_image_key = replace(SBOM, signer=OURS)
    assert codes([LAYER], [OUR_BUNDLE, by_image_key]) == [ReasonCode.ATTESTATION_BY_IMAGE_KEY]
    proper = replace(SBOM, signer=replace(OURS, purpose=Purpose.ATTESTATION, key="build"))
    assert codes([LAYER], [OUR_BUNDLE, proper]) == []


def test_entries_whose_manifest_is_gone_are_told() -> None:
    assert codes([], [DEAD, OUR_BUNDLE]) == [ReasonCode.DEAD_REFERRER]
    (told,) = warnings([], [DEAD] * 5)
    assert "and more" in told.text


@pytest.mark.parametrize("malformed", [NO_NOTARY, TWO_LAYERS])
def test_a_malformed_notation_manifest_is_told_where_a_good_one_follows(malformed: Listed) -> None:
    assert codes([], [malformed, NOTARY]) == [ReasonCode.MALFORMED_NOTATION]
    assert codes([], [NOTARY, malformed]) == []
    assert codes([], [malformed]) == []
