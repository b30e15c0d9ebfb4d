"""Bundles of every kind are taken, and refused for their own reason when any part is wrong.

Every negative changes one thing of a bundle that is taken. sigstore-python judges every keyless
bundle that it knows as well, within the judgement.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from service.verification.sigstore import documents, library
from service.verification.sigstore.artifacts import Artifact
from service.verification.sigstore.certificates import (
    Identity,
    issuer_of,
    names_of,
)
from service.verification.sigstore.judge import Judgement, judge_bundle
from service.verification.sigstore.keys import VerifyingKey, WrongSignatureError
from service.verification.sigstore.reasons import Refusal, RefusedError
from service.verification.sigstore.roots import parse_root, public_root
from tests.support.sigstore import (
    HOST,
    ISSUER,
    KINDS,
    MOMENT,
    NAME,
    Authority,
    CTLog,
    Instance,
    a_key,
    b64,
    pem,
    sign,
    spki,
    statement,
)

CONTENT = b"what was built\n"
HEX = hashlib.sha256(CONTENT).hexdigest()
ARTIFACT = Artifact(
    {name: hashlib.new(name, CONTENT).digest() for name in ("sha256", "sha384", "sha512")},
    lambda: CONTENT,
)
DIGEST_ALONE = Artifact.of_digest(ARTIFACT.sha256)
OURS = Instance()
OTHER = Instance()
WHO = Identity(NAME, ISSUER)
KEY = a_key()
ED25519 = a_key("ed25519")
PEM, DER = Encoding.PEM, Encoding.DER
V1 = "application/vnd.dev.sigstore.bundle+json;version=0.1"
V2 = "application/vnd.dev.sigstore.bundle+json;version=0.2"
V3_OLD = "application/vnd.dev.sigstore.bundle+json;version=0.3"
Document = dict[str, Any]


def judge(
    bundle: Document | bytes,
    *,
    by: VerifyingKey | Identity = WHO,
    artifact: Artifact = ARTIFACT,
    root: Document | None = None,
) -> Judgement:
    content = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
    trusted = parse_root(json.dumps(root or OURS.trusted_root()).encode())
    return judge_bundle(content, artifact=artifact, by=by, root=trusted)


def refusal(bundle: Document | bytes, **how: Any) -> Refusal:
    with pytest.raises(RefusedError) as caught:
        judge(bundle, **how)
    return caught.value.code


def material(bundle: Document) -> Document:
    found: Document = bundle["verificationMaterial"]
    return found


def first_entry(bundle: Document) -> Document:
    found: Document = material(bundle)["tlogEntries"][0]
    return found


def verifying(key: Any = KEY) -> VerifyingKey:
    return VerifyingKey.parse_pem(pem(key))


POSITIVE: dict[str, Document] = {
    "message, Rekor v1, promised": {},
    "message, Rekor v1, stamped without a promise": {"promise": False, "stamped": True},
    "message, Rekor v1, promised and stamped": {"stamped": True},
    "message, Rekor v2, stamped": {
        "entry": "hashedrekord 0.0.2",
        "promise": False,
        "stamped": True,
    },
    "statement, Rekor v1": {"in_envelope": True, "entry": "dsse 0.0.1"},
    "statement, Rekor v1, in-toto": {"in_envelope": True, "entry": "intoto 0.0.2"},
    "statement, Rekor v2": {
        "in_envelope": True,
        "entry": "hashedrekord 0.0.2",
        "promise": False,
        "stamped": True,
    },
    "statement, Rekor v2, DSSE": {
        "in_envelope": True,
        "entry": "dsse 0.0.2",
        "promise": False,
        "stamped": True,
    },
    "version 0.1": {"version": V1},
    "version 0.1, promise alone": {"version": V1, "proof": False},
    "version 0.2": {"version": V2},
    "version 0.3 by its first name": {"version": V3_OLD},
}


@pytest.mark.parametrize("how", POSITIVE.values(), ids=POSITIVE.keys())
def test_a_keyless_bundle_of_every_kind_is_taken_for_the_file_and_for_its_digest(
    how: Document,
) -> None:
    bundle = OURS.bundle(CONTENT, **how)
    for artifact in (ARTIFACT, DIGEST_ALONE):
        assert MOMENT in judge(bundle, artifact=artifact).times
    assert refusal(bundle, artifact=Artifact.of_digest(bytes(32))) is Refusal.DIGEST_MISMATCHED


@pytest.mark.parametrize("how", POSITIVE.values(), ids=POSITIVE.keys())
def test_a_bundle_by_a_key_of_every_kind_is_taken_under_this_key_alone(how: Document) -> None:
    bundle = OURS.bundle(CONTENT, key=KEY, by_key=True, **how)
    judge(bundle, by=verifying())
    assert refusal(bundle, by=verifying(a_key())) is Refusal.SIGNATURE_INVALID
    assert refusal(bundle) is Refusal.KEY_NOT_GIVEN


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("in_envelope", [True, False])
def test_keys_of_every_kind_sign_files_and_statements(kind: str, in_envelope: bool) -> None:
    key = a_key(kind)
    entry = "dsse 0.0.1" if in_envelope else "hashedrekord 0.0.1"
    bundle = OURS.bundle(CONTENT, key=key, by_key=True, in_envelope=in_envelope, entry=entry)
    judge(bundle, by=verifying(key))
    assert refusal(bundle, by=verifying(a_key("p384"))) is Refusal.SIGNATURE_INVALID
    needs_file = not in_envelope and kind in {"p384", "p521", "ed25519"}
    if needs_file:
        code = refusal(bundle, by=verifying(key), artifact=DIGEST_ALONE)
        assert code is Refusal.CONTENT_NEEDED
    else:
        judge(bundle, by=verifying(key), artifact=DIGEST_ALONE)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_every_kind_are_logged_by_rekor_v2(kind: str) -> None:
    key = a_key(kind)
    how: Document = {"entry": "hashedrekord 0.0.2", "promise": False, "by_key": True}
    for in_envelope in (True, False):
        judge(OURS.bundle(CONTENT, key=key, in_envelope=in_envelope, **how), by=verifying(key))


def test_an_entry_about_another_hash_than_the_digest_needs_the_file() -> None:
    key = a_key("rsa")
    bundle = OURS.bundle(CONTENT, key=key, by_key=True)
    sha512 = {"algorithm": "sha512", "value": hashlib.sha512(CONTENT).hexdigest()}
    other = changed(bundle, with_body(lambda b: b["spec"]["data"].update(hash=sha512)))
    judge(other, by=verifying(key))
    assert refusal(other, by=verifying(key), artifact=DIGEST_ALONE) is Refusal.CONTENT_NEEDED


def test_keys_that_nobody_should_sign_with_are_refused() -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    for unfit in (small, ec.generate_private_key(ec.SECP256K1())):
        with pytest.raises(ValueError, match="not a public key of a kind"):
            VerifyingKey.parse_pem(pem(unfit))  # type: ignore[arg-type]
    leaf = OURS.ca.signer(
        small.public_key(), names=[x509.UniformResourceIdentifier(NAME)], issuer=ISSUER
    )
    bundle = changed(
        OURS.bundle(CONTENT),
        set_at("verificationMaterial", "certificate", "rawBytes")(b64(leaf.public_bytes(DER))),
    )
    assert refusal(bundle) is Refusal.CERTIFICATE_MALFORMED


def test_an_entry_of_a_kind_that_nobody_knows_is_refused_without_a_promise_too() -> None:
    bundle = OURS.bundle(CONTENT, key=KEY, by_key=True, promise=False)

    def of_another_kind(body: Document) -> None:
        body["kind"] = "jar"

    other = changed(bundle, with_body(of_another_kind))
    first_entry(other)["kindVersion"]["kind"] = "jar"
    assert refusal(other, by=verifying()) is Refusal.LOG_ENTRY_MISMATCHED


def test_an_ed25519_key_signs_messages_and_no_digests() -> None:
    key = VerifyingKey.parse_pem(pem(ED25519))
    key.verify(CONTENT, sign(ED25519, CONTENT))
    for wrong in (
        lambda: key.verify(CONTENT + b"x", sign(ED25519, CONTENT)),
        lambda: key.verify_digest(ARTIFACT.digests, sign(ED25519, ARTIFACT.sha256)),
    ):
        with pytest.raises(WrongSignatureError):
            wrong()


def test_the_name_of_an_issuer_that_is_not_der_is_nobodys() -> None:
    leaf = OURS.certificate(KEY, issuer=None, issuer_v1=ISSUER)
    assert issuer_of(leaf) == ISSUER
    assert issuer_of(OURS.certificate(KEY, issuer=None, raw_issuer=b"\x0c\x05a")) == ""
    assert names_of(OURS.certificate(KEY, names=[])) == frozenset()


def test_the_library_is_not_asked_about_a_certificate_without_names() -> None:
    root = parse_root(json.dumps(OURS.trusted_root()).encode())
    parsed = documents.parse(json.dumps(OURS.bundle(CONTENT)).encode())
    assert library.knows(parsed, OURS.certificate(KEY), root, [])
    assert not library.knows(parsed, OURS.certificate(KEY, names=[]), root, [])


def test_a_stamper_without_a_root_above_it_vouches_for_nothing() -> None:
    def without_root(root: Document) -> None:
        del root["timestampAuthorities"][0]["certChain"]["certificates"][1]

    assert refusal(in_v2(), root=with_root(without_root)) is Refusal.TIMESTAMP_UNTRUSTED


@pytest.mark.parametrize("kind", ["p384", "p521", "rsa"])
def test_certificates_of_other_kinds_of_key_sign_too(kind: str) -> None:
    bundle = OURS.bundle(
        CONTENT, key=a_key(kind), in_envelope=True, entry="dsse 0.0.1", hashing="sha256"
    )
    judge(bundle)


def test_a_curve_of_any_size_may_sign_over_sha256_as_cosign_does() -> None:
    key = a_key("p384")
    how: Document = {"key": key, "by_key": True, "in_envelope": True, "hashing": "sha256"}
    judge(OURS.bundle(CONTENT, entry="dsse 0.0.1", **how), by=verifying(key))


def test_the_public_root_is_that_of_sigstore_python_and_knows_nothing_of_ours() -> None:
    root = public_root()
    assert {log.host for log in root.logs} >= {"rekor.sigstore.dev"}
    bundle = json.dumps(OURS.bundle(CONTENT)).encode()
    with pytest.raises(RefusedError) as caught:
        judge_bundle(bundle, artifact=ARTIFACT, by=WHO, root=root)
    assert caught.value.code is Refusal.LOG_UNTRUSTED


def in_v2(**how: Any) -> Document:
    asked = {"entry": "hashedrekord 0.0.2", "promise": False, "stamped": True, **how}
    return OURS.bundle(CONTENT, **asked)


Change = Callable[[Document], Any]


def set_at(*path: Any) -> Callable[[Any], Change]:
    def with_value(value: Any) -> Change:
        def change(bundle: Document) -> None:
            place: Any = bundle
            for step in path[:-1]:
                place = place[step]
            if value is None:
                del place[path[-1]]
            else:
                place[path[-1]] = value

        return change

    return with_value


ENTRY = ("verificationMaterial", "tlogEntries", 0)
PROOF = (*ENTRY, "inclusionProof")


def damage(*path: Any) -> Change:
    """Flip a bit in the middle of base64."""

    def change(bundle: Document) -> None:
        place: Any = bundle
        for step in path[:-1]:
            place = place[step]
        raw = bytearray(base64.b64decode(place[path[-1]]))
        raw[len(raw) // 2] ^= 1
        place[path[-1]] = b64(bytes(raw))

    return change


def with_body(change: Callable[[Document], Any]) -> Change:
    """Change the body, and log it: the entry is good, and about something else."""

    def changed(bundle: Document) -> None:
        entry = first_entry(bundle)
        body = json.loads(base64.b64decode(entry["canonicalizedBody"]))
        change(body)
        promise = "inclusionPromise" in entry
        again = OURS.entry(body, promise=promise)
        material(bundle)["tlogEntries"] = [{**again, "kindVersion": entry["kindVersion"]}]

    return changed


def with_checkpoint(make: Callable[[str], str]) -> Change:
    def change(bundle: Document) -> None:
        checkpoint = first_entry(bundle)["inclusionProof"]["checkpoint"]
        text, _, _ = checkpoint["envelope"].rpartition("\n\n")
        checkpoint["envelope"] = make(text + "\n")

    return change


def with_stamp(make: Callable[[bytes], bytes]) -> Change:
    def change(bundle: Document) -> None:
        content = bundle.get("messageSignature") or {}
        signature = base64.b64decode(content["signature"])
        stamps = [{"signedTimestamp": b64(make(signature))}]
        material(bundle)["timestampVerificationData"] = {"rfc3161Timestamps": stamps}

    return change


def twice(*path: Any) -> Change:
    def change(bundle: Document) -> None:
        place: Any = bundle
        for step in path:
            place = place[step]
        place.append(copy.deepcopy(place[0]))

    return change


ANY: dict[str, tuple[Change, Refusal]] = {
    "of no known version": (
        set_at("mediaType")("application/vnd.dev.sigstore.bundle.v0.4+json"),
        Refusal.BUNDLE_MALFORMED,
    ),
    "with an unknown member": (set_at("more")({"a": 1}), Refusal.BUNDLE_MALFORMED),
    "with more entries than any bundle": (
        lambda b: material(b).update(tlogEntries=[first_entry(b)] * 33),
        Refusal.BUNDLE_MALFORMED,
    ),
    "with neither message nor envelope": (
        lambda b: [b.pop(name, None) for name in ("messageSignature", "dsseEnvelope")],
        Refusal.BUNDLE_MALFORMED,
    ),
    "without any material": (set_at("verificationMaterial")({}), Refusal.BUNDLE_MALFORMED),
    "with key and certificate": (
        set_at("verificationMaterial", "publicKey")({"hint": "a"}),
        Refusal.BUNDLE_MALFORMED,
    ),
    "with a chain in version 0.3": (
        lambda b: material(b).update(
            x509CertificateChain={"certificates": [material(b).pop("certificate")]}
        ),
        Refusal.BUNDLE_MALFORMED,
    ),
    "with an index below zero": (set_at(*ENTRY, "logIndex")("-1"), Refusal.BUNDLE_MALFORMED),
    "with a size that is no number": (
        set_at(*PROOF, "treeSize")("many"),
        Refusal.BUNDLE_MALFORMED,
    ),
    "with an entry twice": (
        twice("verificationMaterial", "tlogEntries"),
        Refusal.BUNDLE_MALFORMED,
    ),
    "without an entry": (
        set_at("verificationMaterial", "tlogEntries")([]),
        Refusal.LOG_ENTRY_MISSING,
    ),
    "with an entry of another log": (
        set_at(*ENTRY, "logId", "keyId")(b64(hashlib.sha256(spki(OTHER.log_key)).digest())),
        Refusal.LOG_UNTRUSTED,
    ),
    "without a proof": (set_at(*PROOF)(None), Refusal.INCLUSION_PROOF_MISSING),
    "without a checkpoint": (
        set_at(*PROOF, "checkpoint")(None),
        Refusal.INCLUSION_PROOF_MISSING,
    ),
    "with a damaged hash": (damage(*PROOF, "hashes", 0), Refusal.INCLUSION_PROOF_INVALID),
    "with a hash too many": (twice(*PROOF, "hashes"), Refusal.INCLUSION_PROOF_INVALID),
    "with an index outside the tree": (
        set_at(*PROOF, "logIndex")("2"),
        Refusal.INCLUSION_PROOF_INVALID,
    ),
    "with a damaged root": (damage(*PROOF, "rootHash"), Refusal.INCLUSION_PROOF_INVALID),
    "with a checkpoint of another tree": (
        with_checkpoint(lambda text: OURS.checkpoint(text.replace("\n2\n", "\n3\n"))),
        Refusal.CHECKPOINT_MISMATCHED,
    ),
    "with a checkpoint without a root": (
        with_checkpoint(lambda text: OURS.checkpoint("\n".join(text.split("\n")[:2]) + "\n")),
        Refusal.CHECKPOINT_MALFORMED,
    ),
    "with a checkpoint without signatures": (
        with_checkpoint(lambda text: text),
        Refusal.CHECKPOINT_MALFORMED,
    ),
    "with a checkpoint by another key": (
        with_checkpoint(lambda text: OURS.checkpoint(text, key=OTHER.log_key)),
        Refusal.CHECKPOINT_UNTRUSTED,
    ),
    "with a checkpoint by another name": (
        with_checkpoint(lambda text: OURS.checkpoint(text, name="log.example.net")),
        Refusal.CHECKPOINT_UNTRUSTED,
    ),
    "with a checkpoint signed over another text": (
        with_checkpoint(
            lambda text: text + OURS.checkpoint(text + "x\n").removeprefix(text + "x\n")
        ),
        Refusal.CHECKPOINT_INVALID,
    ),
}
PROMISED: dict[str, tuple[Change, Refusal]] = {
    "with a damaged promise": (
        damage(*ENTRY, "inclusionPromise", "signedEntryTimestamp"),
        Refusal.PROMISE_INVALID,
    ),
    "with another time": (
        set_at(*ENTRY, "integratedTime")(str(int(MOMENT.timestamp()) + 1)),
        Refusal.PROMISE_INVALID,
    ),
    "with another index": (set_at(*ENTRY, "logIndex")("2"), Refusal.PROMISE_INVALID),
    "with a promise without a time": (
        set_at(*ENTRY, "integratedTime")(None),
        Refusal.PROMISE_INVALID,
    ),
    "without promise and timestamp": (
        set_at(*ENTRY, "inclusionPromise")(None),
        Refusal.TIME_MISSING,
    ),
    "with another kind": (
        set_at(*ENTRY, "kindVersion", "kind")("dsse"),
        Refusal.LOG_ENTRY_MISMATCHED,
    ),
    "with an entry of a kind that nobody knows": (
        lambda b: [
            with_body(lambda body: body.update(kind="jar"))(b),
            first_entry(b)["kindVersion"].update(kind="jar"),
        ],
        Refusal.PROMISE_INVALID,
    ),
    "with an entry about another hash": (
        with_body(lambda b: b["spec"]["data"]["hash"].update(value="ab" * 32)),
        Refusal.LOG_ENTRY_MISMATCHED,
    ),
    "with an entry of another signature": (
        with_body(lambda b: b["spec"]["signature"].update(content=b64(sign(KEY, CONTENT)))),
        Refusal.LOG_ENTRY_MISMATCHED,
    ),
    "with an entry of a key": (
        with_body(lambda b: b["spec"]["signature"].update(publicKey={"content": b64(pem(KEY))})),
        Refusal.LOG_ENTRY_MALFORMED,
    ),
    "with an entry of another certificate": (
        with_body(
            lambda b: b["spec"]["signature"].update(
                publicKey={"content": b64(OURS.certificate(KEY).public_bytes(PEM))}
            )
        ),
        Refusal.LOG_ENTRY_MISMATCHED,
    ),
    "with an entry without a hash": (
        with_body(lambda b: b["spec"].pop("data")),
        Refusal.LOG_ENTRY_MALFORMED,
    ),
    "with an entry of an unknown hash": (
        with_body(lambda b: b["spec"]["data"]["hash"].update(algorithm="md5")),
        Refusal.LOG_ENTRY_MISMATCHED,
    ),
}
STAMPED: dict[str, tuple[Change, Refusal]] = {
    "with a timestamp that is none": (
        with_stamp(lambda _: b"0" * 100),
        Refusal.TIMESTAMP_MALFORMED,
    ),
    "with a timestamp over something else": (
        with_stamp(lambda _: OURS.stamp(b"else")),
        Refusal.TIMESTAMP_MISMATCHED,
    ),
    "with a timestamp by somebody else": (
        with_stamp(OTHER.stamp),
        Refusal.TIMESTAMP_UNTRUSTED,
    ),
    "with a timestamp by somebody else, without certificates": (
        with_stamp(lambda s: OTHER.stamp(s, chained=False)),
        Refusal.TIMESTAMP_UNTRUSTED,
    ),
    "with a timestamp from before the certificate": (
        with_stamp(lambda s: OURS.stamp(s, at=MOMENT - timedelta(minutes=2))),
        Refusal.CERTIFICATE_EXPIRED,
    ),
    "with a timestamp from after the certificate": (
        with_stamp(lambda s: OURS.stamp(s, at=MOMENT + timedelta(minutes=20))),
        Refusal.CERTIFICATE_EXPIRED,
    ),
    "with a timestamp from after the authority's own certificate": (
        with_stamp(lambda s: OURS.stamp(s, at=MOMENT + timedelta(hours=20))),
        Refusal.TIMESTAMP_UNTRUSTED,
    ),
    "with a timestamp twice": (
        twice("verificationMaterial", "timestampVerificationData", "rfc3161Timestamps"),
        Refusal.BUNDLE_MALFORMED,
    ),
    "without its timestamp": (
        set_at("verificationMaterial", "timestampVerificationData")(None),
        Refusal.TIME_MISSING,
    ),
    "with an entry of another kind of key": (
        with_body(
            lambda b: b["spec"]["hashedRekordV002"]["signature"]["verifier"].update(
                keyDetails="PKIX_ED25519"
            )
        ),
        Refusal.LOG_ENTRY_MISMATCHED,
    ),
    "with an entry of a certificate of somebody else": (
        with_body(
            lambda b: b["spec"]["hashedRekordV002"]["signature"]["verifier"][
                "x509Certificate"
            ].update(rawBytes=b64(OURS.certificate(KEY).public_bytes(DER)))
        ),
        Refusal.LOG_ENTRY_MISMATCHED,
    ),
    "with a body that is not JSON": (
        lambda b: first_entry(b).update(canonicalizedBody=b64(b"{")),
        Refusal.INCLUSION_PROOF_INVALID,
    ),
    "with a checkpoint whose origin is another host": (
        with_checkpoint(lambda text: OURS.checkpoint(text.replace(HOST, "log.example.net"))),
        Refusal.CHECKPOINT_UNTRUSTED,
    ),
}
SIGNED: dict[str, tuple[Change, Refusal]] = {
    "with a damaged signature": (
        set_at("messageSignature", "signature")(b64(sign(KEY, CONTENT))),
        Refusal.SIGNATURE_INVALID,
    ),
    "with an empty signature": (
        set_at("messageSignature", "signature")(""),
        Refusal.BUNDLE_MALFORMED,
    ),
    "with another digest": (
        set_at("messageSignature", "messageDigest", "digest")(b64(bytes(32))),
        Refusal.DIGEST_MISMATCHED,
    ),
    "with a certificate that is none": (
        set_at("verificationMaterial", "certificate", "rawBytes")(b64(b"0" * 100)),
        Refusal.CERTIFICATE_MALFORMED,
    ),
}


def changed(bundle: Document, change: Change) -> Document:
    other = copy.deepcopy(bundle)
    change(other)
    return other


@pytest.fixture(scope="module")
def promised() -> Document:
    bundle = OURS.bundle(CONTENT)
    judge(bundle)
    return bundle


@pytest.fixture(scope="module")
def stamped() -> Document:
    bundle = in_v2()
    judge(bundle)
    return bundle


@pytest.fixture(scope="module")
def enveloped() -> Document:
    bundle = OURS.bundle(CONTENT, in_envelope=True, entry="dsse 0.0.1")
    judge(bundle)
    return bundle


@pytest.mark.parametrize(("change", "reason"), ANY.values(), ids=ANY.keys())
def test_what_is_wrong_in_any_bundle_has_its_own_reason(
    promised: Document, stamped: Document, enveloped: Document, change: Change, reason: Refusal
) -> None:
    for bundle in (promised, stamped, enveloped):
        assert refusal(changed(bundle, change)) is reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [*PROMISED.values(), *SIGNED.values()],
    ids=[*PROMISED.keys(), *SIGNED.keys()],
)
def test_what_is_wrong_in_a_promised_bundle_has_its_own_reason(
    promised: Document, change: Change, reason: Refusal
) -> None:
    assert refusal(changed(promised, change)) is reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [*STAMPED.values(), *SIGNED.values()],
    ids=[*STAMPED.keys(), *SIGNED.keys()],
)
def test_what_is_wrong_in_a_stamped_bundle_has_its_own_reason(
    stamped: Document, change: Change, reason: Refusal
) -> None:
    assert refusal(changed(stamped, change)) is reason


def test_a_message_need_not_tell_its_digest(promised: Document) -> None:
    silent = changed(promised, set_at("messageSignature", "messageDigest")(None))
    judge(silent)
    assert refusal(silent, artifact=Artifact.of_digest(bytes(32))) is Refusal.SIGNATURE_INVALID


def test_a_bad_timestamp_is_refused_even_beside_a_good_promise(promised: Document) -> None:
    judge(changed(promised, with_stamp(OURS.stamp)))
    code = refusal(changed(promised, with_stamp(OTHER.stamp)))
    assert code is Refusal.TIMESTAMP_UNTRUSTED


def test_a_log_that_is_unknown_is_refused_even_beside_one_that_is_known(promised: Document) -> None:
    def with_another(bundle: Document) -> None:
        body = json.loads(base64.b64decode(first_entry(bundle)["canonicalizedBody"]))
        material(bundle)["tlogEntries"].append(OTHER.entry(body))

    assert refusal(changed(promised, with_another)) is Refusal.LOG_UNTRUSTED


def test_version_01_needs_a_promise() -> None:
    bundle = OURS.bundle(CONTENT, version=V1, promise=False, stamped=True)
    assert refusal(bundle) is Refusal.PROMISE_MISSING
    assert refusal(OURS.bundle(CONTENT, version=V2, proof=False)) is Refusal.INCLUSION_PROOF_MISSING


def test_an_entry_of_rekor_v2_promises_no_time() -> None:
    bundle = OURS.bundle(CONTENT, entry="hashedrekord 0.0.2", stamped=True)
    assert refusal(bundle) is Refusal.PROMISE_INVALID


@pytest.mark.parametrize("cosigned", ["before", "after"])
def test_lines_of_witnesses_in_a_checkpoint_are_passed_over(
    stamped: Document, cosigned: str
) -> None:
    witness = f"\N{EM DASH} witness.example.org {b64(bytes(76))}\n"

    def with_witness(text: str) -> str:
        signed = OURS.checkpoint(text)
        own = signed.removeprefix(text + "\n")
        return f"{text}\n{witness}{own}" if cosigned == "before" else signed + witness

    judge(changed(stamped, with_checkpoint(with_witness)))


# -- envelopes


ENVELOPES: dict[str, tuple[Document, Refusal]] = {
    "of another type": ({"payload_type": "text/plain"}, Refusal.PAYLOAD_TYPE_UNKNOWN),
    "of no statement": ({"payload": b"{}"}, Refusal.STATEMENT_MALFORMED),
    "of another kind of statement": (
        {"payload": statement(HEX).replace(b"in-toto.io/Statement/v1", b"example.com/s")},
        Refusal.STATEMENT_MALFORMED,
    ),
    "of a statement about another file": (
        {"payload": statement("ab" * 32)},
        Refusal.DIGEST_MISMATCHED,
    ),
    "of a predicate that is no object": (
        {"payload": statement(HEX).replace(b'{"a": 1}', b"3")},
        Refusal.PREDICATE_MALFORMED,
    ),
    "of no predicate type": (
        {"payload": statement(HEX, predicate_type="")},
        Refusal.PREDICATE_MALFORMED,
    ),
}


@pytest.mark.parametrize(("how", "reason"), ENVELOPES.values(), ids=ENVELOPES.keys())
def test_an_envelope_that_is_signed_is_refused_for_what_it_says(
    how: Document, reason: Refusal
) -> None:
    bundle = OURS.bundle(CONTENT, in_envelope=True, entry="dsse 0.0.1", **how)
    assert refusal(bundle) is reason


def test_a_statement_of_the_older_version_is_taken() -> None:
    older = statement(HEX).replace(b"Statement/v1", b"Statement/v0.1")
    judged = judge(OURS.bundle(CONTENT, in_envelope=True, entry="dsse 0.0.1", payload=older))
    assert judged.statement is not None
    assert judged.statement.unverified_predicate_type == "https://slsa.dev/provenance/v1"


ENVELOPE_CHANGES: dict[str, tuple[Change, Refusal]] = {
    "two signatures": (twice("dsseEnvelope", "signatures"), Refusal.BUNDLE_MALFORMED),
    "no signature": (set_at("dsseEnvelope", "signatures")([]), Refusal.BUNDLE_MALFORMED),
    "another signature": (
        set_at("dsseEnvelope", "signatures", 0, "sig")(b64(sign(KEY, CONTENT))),
        Refusal.SIGNATURE_INVALID,
    ),
    "another payload": (
        set_at("dsseEnvelope", "payload")(b64(statement(HEX, predicate_type="b"))),
        Refusal.SIGNATURE_INVALID,
    ),
    "an entry of another payload": (
        with_body(lambda b: b["spec"]["payloadHash"].update(value="ab" * 32)),
        Refusal.LOG_ENTRY_MISMATCHED,
    ),
    "an entry of another signature": (
        with_body(lambda b: b["spec"]["signatures"][0].update(signature=b64(b"a"))),
        Refusal.LOG_ENTRY_MISMATCHED,
    ),
    "an entry of two signatures": (
        with_body(lambda b: b["spec"]["signatures"].append(b["spec"]["signatures"][0])),
        Refusal.LOG_ENTRY_MALFORMED,
    ),
    "an entry without an envelope's hash": (
        with_body(lambda b: b["spec"].pop("envelopeHash")),
        Refusal.LOG_ENTRY_MALFORMED,
    ),
    "an entry of a message": (
        with_body(lambda b: b.update(kind="hashedrekord")),
        Refusal.LOG_ENTRY_MISMATCHED,
    ),
}


@pytest.mark.parametrize(
    ("change", "reason"), ENVELOPE_CHANGES.values(), ids=ENVELOPE_CHANGES.keys()
)
def test_what_is_wrong_with_an_envelope_has_its_own_reason(
    enveloped: Document, change: Change, reason: Refusal
) -> None:
    assert refusal(changed(enveloped, change)) is reason


@pytest.mark.parametrize("what", ["payloadType", "sig"])
def test_an_in_toto_entry_of_another_envelope_is_refused(what: str) -> None:
    bundle = OURS.bundle(CONTENT, in_envelope=True, entry="intoto 0.0.2")
    judge(bundle)

    def change(body: Document) -> None:
        envelope = body["spec"]["content"]["envelope"]
        place = envelope if what == "payloadType" else envelope["signatures"][0]
        place[what] = b64(b"another")

    assert refusal(changed(bundle, with_body(change))) is Refusal.LOG_ENTRY_MISMATCHED


# -- certificates


def certified(**how: Any) -> Document:
    key = a_key()
    return OURS.bundle(CONTENT, key=key, certificate=OURS.certificate(key, **how))


MAIL = x509.RFC822Name("somebody@example.com")
FULCIO_NAME = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), b"\x0c\x08somebody")
CERTIFICATES: dict[str, tuple[Document, Refusal]] = {
    "for somebody else": ({"names": [MAIL]}, Refusal.IDENTITY_MISMATCHED),
    "by another issuer": ({"issuer": "https://example.net"}, Refusal.ISSUER_MISMATCHED),
    "without an issuer": ({"issuer": None}, Refusal.ISSUER_MISMATCHED),
    "whose newer issuer is another": (
        {"issuer": "https://example.net", "issuer_v1": ISSUER},
        Refusal.ISSUER_MISMATCHED,
    ),
    "for a server": (
        {"usages": [ExtendedKeyUsageOID.SERVER_AUTH]},
        Refusal.CERTIFICATE_USAGE,
    ),
    "for nothing in particular": ({"usages": []}, Refusal.CERTIFICATE_USAGE),
    "that begins later": (
        {"start": MOMENT + timedelta(seconds=1)},
        Refusal.CERTIFICATE_EXPIRED,
    ),
    "that ended before": (
        {"start": MOMENT - timedelta(minutes=11)},
        Refusal.CERTIFICATE_EXPIRED,
    ),
    "that no CT log has seen": ({"ct_logs": []}, Refusal.CERTIFICATE_TIMESTAMP_MISSING),
    "that an unknown CT log has seen": (
        {"ct_logs": [CTLog()]},
        Refusal.CERTIFICATE_TIMESTAMP_UNTRUSTED,
    ),
    "whose CT log signed something else": (
        {"ct_logs": [CTLog(OURS.ct_log.key, damage=True)]},
        Refusal.CERTIFICATE_TIMESTAMP_INVALID,
    ),
    "whose CT log signs otherwise": (
        {"ct_logs": [CTLog(OURS.ct_log.key, hashing=5)]},
        Refusal.CERTIFICATE_TIMESTAMP_INVALID,
    ),
    "for nobody": ({"names": []}, Refusal.CERTIFICATE_UNTRUSTED),
    "that was seen twice": (
        {"ct_logs": [OURS.ct_log, OURS.ct_log]},
        Refusal.CERTIFICATE_TIMESTAMP_INVALID,
    ),
}


@pytest.mark.parametrize(("how", "reason"), CERTIFICATES.values(), ids=CERTIFICATES.keys())
def test_a_certificate_is_refused_for_its_own_reason(how: Document, reason: Refusal) -> None:
    assert refusal(certified(**how)) is reason


@pytest.mark.parametrize(
    "how",
    [
        {"issuer": None, "issuer_v1": ISSUER},
        {"ct_logs": [CTLog(OURS.ct_log.key, extensions=b"\x00\x00\x05more.")]},
    ],
    ids=["by the older name of an issuer", "with extensions of its CT log"],
)
def test_certificates_of_other_forms_are_taken(how: Document) -> None:
    judge(certified(**how))


def test_an_address_names_a_signer_too() -> None:
    judge(certified(names=[MAIL]), by=Identity("somebody@example.com", ISSUER))


def test_a_name_of_fulcios_own_kind_names_a_signer_too() -> None:
    bundle = certified(names=[FULCIO_NAME])
    judge(bundle, by=Identity("somebody", ISSUER))
    assert refusal(bundle, by=Identity("somebody else", ISSUER)) is Refusal.IDENTITY_MISMATCHED


def test_a_certificate_of_another_authority_is_refused() -> None:
    key = a_key()
    leaf = OTHER.certificate(key, ct_logs=[OURS.ct_log])
    bundle = OURS.bundle(CONTENT, key=key, certificate=leaf)
    assert refusal(bundle) is Refusal.CERTIFICATE_UNTRUSTED


def test_a_root_that_comes_with_the_bundle_is_refused() -> None:
    bundle = OURS.bundle(CONTENT, version=V2)
    chain = material(bundle)["x509CertificateChain"]["certificates"]
    between = Authority("between").root()
    chain.append({"rawBytes": b64(between.public_bytes(DER))})
    assert refusal(bundle) is Refusal.CERTIFICATE_ROOT_INCLUDED
    chain.clear()
    assert refusal(bundle) is Refusal.BUNDLE_MALFORMED


# -- trusted roots


def with_root(change: Callable[[Document], Any]) -> Document:
    root = OURS.trusted_root()
    change(root)
    return root


def validity(kind: str, **told: str) -> Callable[[Document], Any]:
    def change(root: Document) -> None:
        instance = root[kind][0]
        (instance if "validFor" in instance else instance["publicKey"])["validFor"] = told

    return change


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


START = "2026-01-01T00:00:00Z"
AT, BEFORE = text(MOMENT), text(MOMENT - timedelta(seconds=1))
OUT_OF_TIME = {
    "tlogs": Refusal.LOG_KEY_OUT_OF_TIME,
    "certificateAuthorities": Refusal.CERTIFICATE_UNTRUSTED,
    "timestampAuthorities": Refusal.TIMESTAMP_OUT_OF_TIME,
}


@pytest.mark.parametrize(("kind", "reason"), OUT_OF_TIME.items(), ids=OUT_OF_TIME.keys())
def test_an_authority_counts_to_its_last_second_and_no_longer(kind: str, reason: Refusal) -> None:
    bundle = OURS.bundle(CONTENT, stamped=True)
    judge(bundle, root=with_root(validity(kind, start=START, end=AT)))
    judge(bundle, root=with_root(validity(kind, start=AT)))
    assert refusal(bundle, root=with_root(validity(kind, start=START, end=BEFORE))) is reason
    later = text(MOMENT + timedelta(seconds=1))
    assert refusal(bundle, root=with_root(validity(kind, start=later))) is reason


def test_a_ct_log_counts_to_its_last_second_and_no_longer() -> None:
    bundle, seen = OURS.bundle(CONTENT), MOMENT - timedelta(minutes=1)
    judge(bundle, root=with_root(validity("ctlogs", start=START, end=text(seen))))
    late = text(seen - timedelta(seconds=1))
    code = refusal(bundle, root=with_root(validity("ctlogs", start=START, end=late)))
    assert code is Refusal.CERTIFICATE_TIMESTAMP_UNTRUSTED


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(mediaType="application/json"),
        lambda r: r.update(more=[]),
        validity("tlogs"),
        validity("tlogs", start="yesterday"),
        lambda r: r["tlogs"][0]["publicKey"].update(rawBytes=b64(b"no key")),
        lambda r: r["certificateAuthorities"][0]["certChain"].update(certificates=[]),
        lambda r: r["certificateAuthorities"][0]["certChain"].update(
            certificates=[{"rawBytes": b64(b"none")}]
        ),
    ],
    ids=["of no known version", "more", "no start", "bad start", "no key", "empty", "none"],
)
def test_a_trusted_root_that_is_malformed_is_refused_as_such(
    promised: Document, change: Callable[[Document], Any]
) -> None:
    judge(promised, root=OURS.trusted_root())
    assert refusal(promised, root=with_root(change)) is Refusal.TRUSTED_ROOT_MALFORMED


def test_a_stamper_is_known_by_its_root_alone_if_its_certificate_comes_in_the_stamp() -> None:
    def without_leaf(root: Document) -> None:
        del root["timestampAuthorities"][0]["certChain"]["certificates"][0]

    key = a_key()
    bundle = OURS.bundle(CONTENT, key=key, by_key=True, stamped=True)
    judge(bundle, by=verifying(key), root=with_root(without_leaf))


def test_stampers_and_certificates_are_checked_at_their_time_and_not_today() -> None:
    past = Instance(moment=MOMENT - timedelta(days=30))
    key = a_key()
    leaf = past.certificate(key, start=past.moment - timedelta(minutes=1))
    bundle = past.bundle(CONTENT, key=key, certificate=leaf, stamped=True)
    judge(bundle, root=past.trusted_root())


# -- the second opinion


def test_the_library_is_asked_about_every_kind_that_it_knows_and_what_it_refuses_is_refused() -> (
    None
):
    root = parse_root(json.dumps(OURS.trusted_root()).encode())
    asked = []
    for name, how in POSITIVE.items():
        content = json.dumps(OURS.bundle(CONTENT, **how)).encode()
        parsed = documents.parse(content)
        leaf = x509.load_der_x509_certificate(parsed.chain[0])
        if not library.knows(parsed, leaf, root, [MOMENT]):
            continue
        asked.append(name)
        library.concur(content, parsed, ARTIFACT, WHO, root)
        with pytest.raises(RefusedError) as caught:
            library.concur(content, parsed, ARTIFACT, Identity("nobody", ISSUER), root)
        assert caught.value.code is Refusal.LIBRARY_REFUSES
    assert set(POSITIVE) - set(asked) == {
        "statement, Rekor v1, in-toto",
        "statement, Rekor v2, DSSE",
        "version 0.1, promise alone",
    }


# -- whatever comes


@settings(max_examples=150)
@given(st.data())
def test_a_bundle_with_any_one_damage_is_refused_and_nothing_else_happens(
    data: st.DataObject,
) -> None:
    content = bytearray(json.dumps(HARD).encode())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    try:
        judged = judge(bytes(content), by=verifying())
    except RefusedError:
        return
    assert json.loads(content) == HARD or judged.times == (MOMENT,)


HARD = OURS.bundle(CONTENT, key=KEY, by_key=True, in_envelope=True, entry="intoto 0.0.2")
