"""Verification at a registry that answers, half answers, or does not: bundles and layers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.bootstrap.formats import signature_finders
from service.domain.attestations import COSIGN_SIGN
from service.domain.callers import Caller, Role
from service.domain.clock import SystemClock
from service.domain.digests import Descriptor, Digest
from service.domain.keys import KeyVersion, Purpose
from service.domain.media_types import OCI_INDEX, OCI_MANIFEST
from service.domain.public_keys import public_key
from service.domain.signing import Referrer
from service.domain.verdicts import ImageVerdict, ReasonCode, Verdict
from service.formats import dsse
from service.formats.bundle import bundle, predicate_referrer
from service.formats.intoto import signing_statement
from service.formats.simplesigning import SIMPLE_SIGNING_MEDIA_TYPE, CosignFormat
from service.operations import VerifyImages, find_referrers
from service.operations.fanout import Fanout
from service.policy.trust import ForeignKey, RepositoryTrust, TrustPolicy
from service.ports.proofs import ProvenTime, VerifiedSignature
from tests.support.oci import client_for, entry
from tests.support.scripted_http import Received, Scripted, ScriptedServer
from tests.support.small_registry import SmallRegistry, descriptor, error, index_of
from tests.support.statements import MOMENT, a_statement, a_version

IMAGE = Digest("5" * 64)
SUBJECT = Descriptor(OCI_MANIFEST, IMAGE, 401)
TAG = f"sha256-{IMAGE.hex}"
SIGNATURE = "dev.cosignproject.cosign/signature"
VERIFIER = Caller("c", "verifier", "v@example.com", Role.VERIFIER, ("**",), ("*",))


class NoProofs:
    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        return None


class Hand:
    """A key in memory, and the version as the store would hold it."""

    def __init__(self, name: str, purpose: Purpose = Purpose.IMAGE) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        spki = self._private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.version = a_version(spki, key=name, purpose=purpose)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message, ec.ECDSA(hashes.SHA256()))

    def bundle(self, predicate: str = COSIGN_SIGN, subject: Digest = IMAGE) -> Referrer:
        payload = signing_statement(subject, ()).replace(COSIGN_SIGN.encode(), predicate.encode())
        content = bundle(payload, self.sign(dsse.pae(payload)), public_key=self.version.public_key)
        return predicate_referrer(content, predicate, at=MOMENT, subject=SUBJECT)


OURS, OTHER, STRANGER = Hand("release"), Hand("build", Purpose.ATTESTATION), Hand("stranger")


class Catalog:
    def trusted_by_purpose(self, purpose: Purpose) -> list[KeyVersion]:
        return [h.version for h in (OURS, OTHER) if h.version.purpose is purpose]


@dataclass
class Place:
    """A small registry behind a server, and the verification of what is put there."""

    registry: SmallRegistry
    server: ScriptedServer
    verify: Callable[[], ImageVerdict]
    trust: list[TrustPolicy]
    """The policy in force is the last one."""

    def put(self, *referrers: Referrer) -> None:
        for one in referrers:
            for blob in one.blobs:
                self.registry.blobs[str(Digest.of(blob))] = blob
            self.registry.manifests[str(one.digest)] = one.manifest
        if not self.registry.api:
            listed = [descriptor(one.manifest) for one in referrers]
            self.registry.manifests[TAG] = index_of(*listed)

    def put_layer(self, hand: Hand) -> None:
        payload = CosignFormat().payload(
            a_statement(IMAGE, identity=f"{self.server.host}/app"), version=hand.version, at=MOMENT
        )
        self.registry.blobs[str(Digest.of(payload))] = payload
        signature = base64.b64encode(hand.sign(payload)).decode()
        layer = {
            "mediaType": SIMPLE_SIGNING_MEDIA_TYPE,
            "size": len(payload),
            "digest": str(Digest.of(payload)),
            "annotations": {SIGNATURE: signature},
        }
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [layer]}
        self.registry.manifests[f"{TAG}.sig"] = json.dumps(manifest).encode()

    def list(self, *entries: object) -> None:
        """Let the registry list these, whatever it holds."""
        self.answer_list(Scripted(200, {"Content-Type": OCI_INDEX}, index_of(*entries)))

    def answer_list(self, answer: Scripted) -> None:
        # Not to a question for the layers' tag, which begins as the fallback tag does.
        ends = f"/referrers/{IMAGE}" if self.registry.api else f"/manifests/{TAG}"
        self.registry.fault = lambda got: answer if got.path.endswith(ends) else None

    def fault(self, part: str, answer: Scripted) -> None:
        def faulty(request: Received) -> Scripted | None:
            return answer if part in request.path else None

        self.registry.fault = faulty


@pytest.fixture(params=[True, False], ids=["api", "tag"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    registry = SmallRegistry()
    registry.api = request.param
    pools = [Fanout(2) for _ in range(3)]
    trust = [TrustPolicy()]
    with ScriptedServer(registry) as server:
        client = client_for(tmp_path, entry(server.host))
        verify = VerifyImages(
            cast("Any", Catalog()),
            client,
            signature_finders(client, NoProofs(), pools[0], SystemClock()),
            *pools[1:],
            lambda: trust[-1],
        )
        reference = f"{server.host}/app@{IMAGE}"
        yield Place(
            registry, server, lambda: verify(VERIFIER, [reference], recursive=False)[0], trust
        )
    for pool in pools:
        pool.close()


def formats(verdict: ImageVerdict) -> list[tuple[str, bool]]:
    return [(one.format, one.stands) for one in verdict.signatures]


def codes(verdict: ImageVerdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def test_both_places_are_looked_at(place: Place) -> None:
    assert place.verify().verdict is Verdict.UNSIGNED
    place.put(OURS.bundle())
    place.put_layer(OURS)
    verdict = place.verify()
    assert verdict.verdict is Verdict.VERIFIED
    assert formats(verdict) == [("cosign", True), ("bundle", True)]
    assert verdict.warnings == ()


def test_a_bundle_alone_verifies_and_says_by_which_key(place: Place) -> None:
    place.put(OURS.bundle())
    (only,) = place.verify().signatures
    assert (only.format, only.key, only.version, only.identity) == ("bundle", "release", 1, None)


def test_bundles_of_others_alone_are_rejected_and_beside_ours_are_reasons(place: Place) -> None:
    place.put(STRANGER.bundle(), OTHER.bundle())
    verdict = place.verify()
    assert verdict.verdict is Verdict.REJECTED
    assert set(codes(verdict)) == {ReasonCode.UNTRUSTED_KEY, ReasonCode.WRONG_PURPOSE}
    place.put(STRANGER.bundle(), OTHER.bundle(), OURS.bundle())
    assert place.verify().verdict is Verdict.VERIFIED


def test_attestations_are_no_signatures_whoever_made_them(place: Place) -> None:
    place.put(OTHER.bundle("https://spdx.dev/Document"), STRANGER.bundle("https://x/vuln"))
    verdict = place.verify()
    assert (verdict.verdict, verdict.signatures, verdict.warnings) == (Verdict.UNSIGNED, (), ())


def test_an_attestation_by_an_image_key_is_refused_with_a_warning(place: Place) -> None:
    place.put(OURS.bundle("https://x.example/failing-scan"))
    verdict = place.verify()
    assert verdict.verdict is Verdict.UNSIGNED
    assert [w.code for w in verdict.warnings] == [ReasonCode.ATTESTATION_BY_IMAGE_KEY]


def test_a_foreign_bundle_beside_only_our_layer_is_a_warning(place: Place) -> None:
    place.put_layer(OURS)
    place.put(STRANGER.bundle())
    verdict = place.verify()
    assert verdict.verdict is Verdict.VERIFIED
    (warning,) = verdict.warnings
    assert warning.code is ReasonCode.FOREIGN_BUNDLE
    assert warning.cure


NO_ANSWERS = [
    pytest.param(error(401, "UNAUTHORIZED"), ReasonCode.REGISTRY_DENIED, id="401"),
    pytest.param(error(403, "DENIED"), ReasonCode.REGISTRY_DENIED, id="403"),
    pytest.param(
        error(429, "TOOMANY", **{"Retry-After": "9"}), ReasonCode.REGISTRY_UNAVAILABLE, id="429"
    ),
    pytest.param(Scripted(503), ReasonCode.REGISTRY_UNAVAILABLE, id="503"),
    pytest.param(
        Scripted(302, {"Location": "https://x.example/"}), ReasonCode.REGISTRY_UNAVAILABLE, id="302"
    ),
    pytest.param(
        Scripted(200, {"Content-Type": "text/html"}, b"<html>"),
        ReasonCode.REGISTRY_UNAVAILABLE,
        id="html",
    ),
    pytest.param(
        Scripted(200, {"Content-Type": OCI_INDEX}, b'{"manifests":[', claimed_length=900),
        ReasonCode.REGISTRY_UNAVAILABLE,
        id="cut",
    ),
]


@pytest.mark.parametrize(("answer", "expected"), NO_ANSWERS)
def test_a_list_that_is_no_answer_is_never_a_no(
    place: Place, answer: Scripted, expected: ReasonCode
) -> None:
    place.answer_list(answer)
    verdict = place.verify()
    assert (verdict.verdict, codes(verdict)) == (Verdict.UNKNOWN, [expected])
    if answer.status == 429:
        assert verdict.reasons[0].retry_after == 9.0
    place.put_layer(OURS)
    assert place.verify().verdict is Verdict.VERIFIED
    place.put_layer(STRANGER)
    assert place.verify().verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("what", ["/manifests/sha256:", "/blobs/"])
def test_a_referrer_that_cannot_be_read_is_never_a_no(place: Place, what: str) -> None:
    place.put(OURS.bundle())
    place.fault(what, Scripted(500))
    verdict = place.verify()
    assert (verdict.verdict, codes(verdict)) == (
        Verdict.UNKNOWN,
        [ReasonCode.REGISTRY_UNAVAILABLE],
    )


def test_other_content_than_its_digest_names_is_no_answer(place: Place) -> None:
    ours = OURS.bundle()
    place.put(ours)
    other = Scripted(200, {"Content-Type": OCI_MANIFEST}, STRANGER.bundle().manifest)
    place.fault(str(ours.digest), other)
    assert place.verify().verdict is Verdict.UNKNOWN
    place.registry.fault = lambda _: None
    place.registry.blobs[str(Digest.of(ours.blobs[1]))] = STRANGER.bundle().blobs[1]
    assert place.verify().verdict is Verdict.UNKNOWN


def test_a_bundle_that_is_listed_and_gone_is_told(place: Place) -> None:
    ours = OURS.bundle()
    place.put(ours)
    del place.registry.blobs[str(Digest.of(ours.blobs[1]))]
    verdict = place.verify()
    assert codes(verdict) == [ReasonCode.PAYLOAD_UNAVAILABLE]
    place.list(descriptor(ours.manifest))
    del place.registry.manifests[str(ours.digest)]
    verdict = place.verify()
    assert verdict.verdict is Verdict.UNSIGNED
    assert [w.code for w in verdict.warnings] == [ReasonCode.DEAD_REFERRER]


def test_what_is_no_manifest_that_could_be_a_signature_is_passed_over(place: Place) -> None:
    ours = OURS.bundle()
    strange = json.dumps({"mediaType": OCI_MANIFEST, "layers": 7}).encode()
    place.put(ours)
    place.registry.manifests[str(Digest.of(strange))] = strange
    index = {**descriptor(b"index"), "mediaType": OCI_INDEX}
    place.list(descriptor(strange), index, descriptor(ours.manifest))
    assert formats(place.verify()) == [("bundle", True)]


def test_of_too_many_referrers_those_that_look_like_signatures_are_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_referrers, "MAX_REFERRERS_READ", 3)
    ours = OURS.bundle()
    sboms = [OTHER.bundle(f"https://x.example/{n}") for n in range(5)]
    place.put(*sboms, ours)
    listed = [
        descriptor(one.manifest, artifactType=one.artifact_type, annotations=dict(one.annotations))
        for one in (*sboms, ours)
    ]
    place.list(*listed)
    assert formats(place.verify()) == [("bundle", True)]
    # Where none of those stands, nobody knows what the others would have been.
    stranger = STRANGER.bundle()
    place.put(*sboms, stranger)
    listed[-1] = descriptor(stranger.manifest, artifactType=stranger.artifact_type, annotations={})
    place.list(*listed)
    verdict = place.verify()
    assert verdict.verdict is Verdict.UNKNOWN
    assert ReasonCode.TOO_MANY_REFERRERS in codes(verdict)


def test_an_image_under_the_fallback_tag_is_told_where_clients_look_there(place: Place) -> None:
    image = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}).encode()
    place.registry.manifests[TAG] = image
    verdict = place.verify()
    assert verdict.verdict is Verdict.UNSIGNED
    told = [] if place.registry.api else [ReasonCode.FALLBACK_INDEX_MALFORMED]
    assert [w.code for w in verdict.warnings] == told


def vendor(*, our_keys: bool, repositories: str = "**") -> TrustPolicy:
    key = ForeignKey("vendor", public_key(STRANGER.version.public_key))
    policy = RepositoryTrust("mirrored", (repositories,), our_keys=our_keys, keys=(key,))
    return TrustPolicy((key,), (policy,))


def test_a_policy_lets_a_foreign_key_count_where_it_covers_the_repository(place: Place) -> None:
    place.put(STRANGER.bundle())
    place.put_layer(STRANGER)
    assert place.verify().verdict is Verdict.REJECTED
    place.trust.append(vendor(our_keys=True))
    verdict = place.verify()
    assert verdict.verdict is Verdict.VERIFIED
    assert verdict.warnings == ()
    assert [(s.format, s.stands, s.key, s.version, s.policy) for s in verdict.signatures] == [
        ("cosign", True, "vendor", None, "mirrored"),
        ("bundle", True, "vendor", None, "mirrored"),
    ]
    place.trust.append(vendor(our_keys=True, repositories=f"{place.server.host}/other"))
    assert place.verify().verdict is Verdict.REJECTED


def test_a_policy_says_whether_our_own_keys_count_too(place: Place) -> None:
    place.put(OURS.bundle())
    place.put_layer(OURS)
    place.trust.append(vendor(our_keys=False))
    verdict = place.verify()
    assert verdict.verdict is Verdict.REJECTED
    assert codes(verdict) == [ReasonCode.UNTRUSTED_KEY]
    assert "policy mirrored" in verdict.reasons[0].text
    place.trust.append(vendor(our_keys=True))
    verdict = place.verify()
    assert verdict.verdict is Verdict.VERIFIED
    assert [s.key for s in verdict.signatures] == ["release", "release"]
    assert [s.policy for s in verdict.signatures] == [None, None]


def test_a_foreign_layer_that_stands_beside_others_bundles_is_a_warning(place: Place) -> None:
    place.trust.append(vendor(our_keys=True))
    place.put_layer(STRANGER)
    place.put(OTHER.bundle())
    verdict = place.verify()
    assert verdict.verdict is Verdict.VERIFIED
    (warning,) = verdict.warnings
    assert warning.code is ReasonCode.FOREIGN_BUNDLE
    assert "none by vendor" in warning.text
