"""What a compromise does to signatures: without a time to all, with one to what is not proven."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from service.domain.clock import rfc3339
from service.domain.keys import KeyState, Purpose
from service.domain.lifecycle import Move
from service.domain.signing import Timestamp
from service.domain.verdicts import ImageVerdict, ReasonCode, Verdict
from service.operations.certify_version import SelfSigning
from tests.support.registry import DockerRegistry
from tests.support.services import (
    CUSTODIAN,
    Services,
    make_key,
    move,
    rotate,
    sign_image,
)
from tests.support.sites import Site
from tests.support.softhsm import TokenFixture

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_PLACE = {"C": "CH", "ST": "Bern", "O": "Example"}


@pytest.fixture
def site(services: Services, registry: DockerRegistry, first: TokenFixture) -> Site:
    services.registries = (registry.host,)
    services.policy = {"signing": {"allow_tags": True}}
    service = services(first)
    make_key(service, token=first.label)
    return Site(service, registry, f"custody/{uuid.uuid4().hex[:12]}")


def codes(found: ImageVerdict) -> list[ReasonCode]:
    return [signature.reason.code for signature in found.signatures]


def test_without_a_time_every_signature_of_the_version_is_rejected(site: Site) -> None:
    image, _ = site.signed()
    rotate(site.service)
    later, _ = site.signed()
    assert site.verdict(image).verdict is Verdict.VERIFIED
    move(site.service, 1, KeyState.COMPROMISED)
    found = site.verdict(image)
    assert (found.verdict, codes(found)) == (Verdict.REJECTED, [ReasonCode.KEY_COMPROMISED])
    assert "release version 1 is compromised" in found.reasons[0].text
    assert site.verdict(later).verdict is Verdict.VERIFIED
    move(site.service, 1, KeyState.DESTROYED)
    assert site.verdict(image).verdict is Verdict.REJECTED


def test_with_a_time_those_stand_that_our_record_proves_to_be_older(site: Site) -> None:
    older, first = site.signed()
    newer, second = site.signed()
    assert first.created_at < second.created_at
    move(site.service, 1, KeyState.COMPROMISED, since=second.created_at)
    found = site.verdict(older)
    assert (found.verdict, codes(found)) == (Verdict.VERIFIED, [ReasonCode.SIGNATURE_VALID])
    assert "the service's own record has it at" in found.reasons[0].text
    at_that_moment = site.verdict(newer)
    assert (at_that_moment.verdict, codes(at_that_moment)) == (
        Verdict.REJECTED,
        [ReasonCode.KEY_COMPROMISED],
    )


def test_what_is_not_on_record_is_proven_by_nothing_it_says_itself(site: Site) -> None:
    image, recorded = site.signed()
    stolen = site.stolen(recorded.payload)
    site.attach_only(image, recorded.payload, stolen)
    assert site.verdict(image).verdict is Verdict.VERIFIED  # before anybody knows
    since = site.signed()[1].created_at
    move(site.service, 1, KeyState.COMPROMISED, since=since)
    found = site.verdict(image)
    assert (found.verdict, codes(found)) == (Verdict.REJECTED, [ReasonCode.KEY_COMPROMISED])
    assert "nothing proves that the signature is older" in found.reasons[0].text


def test_a_thief_gains_nothing_from_a_payload_that_is_on_record(site: Site) -> None:
    image, recorded = site.signed()
    later = site.push()
    since = site.signed()[1].created_at
    move(site.service, 1, KeyState.COMPROMISED, since=since)
    assert site.verdict(image).verdict is Verdict.VERIFIED
    # The same payload, signed once more: verifies, and is another signature than ours.
    site.attach_only(image, recorded.payload, site.stolen(recorded.payload))
    assert site.verdict(image).verdict is Verdict.REJECTED
    # Our signature over another payload does not even verify.
    forged = recorded.payload.replace(
        str(recorded.statement.digest).encode(), later.partition("@")[2].encode()
    )
    site.attach_only(later, forged, recorded.signature)
    assert codes(site.verdict(later)) == [ReasonCode.UNTRUSTED_KEY]
    site.attach_only(later, forged, site.stolen(forged))
    assert codes(site.verdict(later)) == [ReasonCode.KEY_COMPROMISED]
    site.attach_only(image, recorded.payload, recorded.signature)
    assert site.verdict(image).verdict is Verdict.VERIFIED


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda r, s: (r, s), id="as-it-was"),
        pytest.param(lambda r, s: (r, P256_ORDER - s), id="the-other-s"),
    ],
)
def test_the_record_proves_a_signature_in_either_form(
    site: Site, change: Callable[[int, int], tuple[int, int]]
) -> None:
    image, recorded = site.signed()
    since = site.signed()[1].created_at
    move(site.service, 1, KeyState.COMPROMISED, since=since)
    form = encode_dss_signature(*change(*decode_dss_signature(recorded.signature)))
    site.attach_only(image, recorded.payload, form)
    assert site.verdict(image).verdict is Verdict.VERIFIED


def test_of_several_records_of_one_statement_each_proves_itself(site: Site) -> None:
    image, before = site.signed()
    since = site.signed()[1].created_at
    item = sign_image(site.service, image, force=True)
    [after] = item.signatures
    assert before.payload == after.payload
    move(site.service, 1, KeyState.COMPROMISED, since=since)
    for signature, expected in ((before, Verdict.VERIFIED), (after, Verdict.REJECTED)):
        site.attach_only(image, signature.payload, signature.signature)
        assert site.verdict(image).verdict is expected


def test_bundles_are_proven_by_the_record_as_well(site: Site) -> None:
    older, newer = site.push(), site.push()
    made = [sign_image(site.service, image, formats=("bundle",)) for image in (older, newer)]
    assert [item.error for item in made] == [None, None]
    assert site.verdict(older).verdict is Verdict.VERIFIED
    since = made[1].signatures[0].created_at
    move(site.service, 1, KeyState.COMPROMISED, since=since)
    assert codes(site.verdict(older)) == [ReasonCode.SIGNATURE_VALID]
    assert codes(site.verdict(newer)) == [ReasonCode.KEY_COMPROMISED]


@pytest.mark.parametrize("way", [(), (KeyState.SUSPENDED,), (KeyState.RETIRED,)])
def test_a_version_that_was_never_compromised_stays_trusted_whatever_its_state(
    site: Site, way: tuple[KeyState, ...]
) -> None:
    image, _ = site.signed()
    for state in way:
        move(site.service, 1, state)
    assert site.verdict(image).verdict is Verdict.VERIFIED
    if KeyState.RETIRED in way:
        move(site.service, 1, KeyState.DESTROYED)
        assert site.verdict(image).verdict is Verdict.VERIFIED


@pytest.fixture
def stamping(site: Site, first: TokenFixture) -> Callable[[bytes], Timestamp]:
    """Our own authority, from when a signature has been recorded without it."""
    make_key(site.service, "tsa", token=first.label, purpose=Purpose.TIMESTAMP)
    site.service.operations.certificates.self_sign(
        CUSTODIAN, SelfSigning("tsa", 1, _PLACE, days=30), token=first.label
    )

    def stamp(signature: bytes) -> Timestamp:
        [made] = site.service.operations.timestamps.stamp([signature], seconds=20)
        assert isinstance(made, Timestamp)
        return made

    return stamp


def test_a_time_stamp_proves_the_age_of_what_no_record_holds(
    site: Site, stamping: Callable[[bytes], Timestamp]
) -> None:
    image, recorded = site.signed()
    assert recorded.timestamp is not None
    made = site.stolen(recorded.payload)  # by ourselves, in a store that is lost
    stamp = stamping(made)
    latest = stamp.at + timedelta(seconds=1)  # as its accuracy has it
    site.attach_only(image, recorded.payload, made, stamp=stamp.reply)
    since = latest + timedelta(milliseconds=1)
    while datetime.now(UTC) < since:
        time.sleep(0.05)
    move(site.service, 1, KeyState.COMPROMISED, since=since)
    found = site.verdict(image)
    assert (found.verdict, codes(found)) == (Verdict.VERIFIED, [ReasonCode.SIGNATURE_VALID])
    assert "a time stamp of this service has it at" in found.reasons[0].text
    # A thief can neither move the stamp to another signature, nor make one by the stolen key.
    other = site.stolen(recorded.payload)
    site.attach_only(image, recorded.payload, other, stamp=stamp.reply)
    assert codes(site.verdict(image)) == [ReasonCode.KEY_COMPROMISED]
    site.attach_only(image, recorded.payload, made, stamp=stamp.reply)
    assert site.verdict(image).verdict is Verdict.VERIFIED
    custody = site.service.operations.custody
    custody.move(CUSTODIAN, Move("tsa", 1, KeyState.COMPROMISED))
    assert codes(site.verdict(image)) == [ReasonCode.KEY_COMPROMISED]


def test_a_time_stamp_of_after_the_compromise_proves_nothing(
    site: Site, stamping: Callable[[bytes], Timestamp]
) -> None:
    image, recorded = site.signed()
    made = site.stolen(recorded.payload)
    stamp = stamping(made)
    site.attach_only(image, recorded.payload, made, stamp=stamp.reply)
    assert site.verdict(image).verdict is Verdict.VERIFIED  # before anybody knows
    move(site.service, 1, KeyState.COMPROMISED, since=stamp.at)
    found = site.verdict(image)
    assert (found.verdict, codes(found)) == (Verdict.REJECTED, [ReasonCode.KEY_COMPROMISED])
    told = stamp.at + timedelta(seconds=1)
    assert f"a time stamp of this service has it at {rfc3339(told)}" in found.reasons[0].text
