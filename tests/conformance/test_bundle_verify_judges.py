"""cosign 3 on the bundles by which `bundle verify` is tested: both take them, or both refuse them.

The certificate authority, the logs and the time stamper are a test's own, so that cosign needs
no network; it shares no code with us.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from service.cli.main import run
from tests.support.cosign import Cosign
from tests.support.sigstore import (
    HOST,
    ISSUER,
    MOMENT,
    NAME,
    Instance,
    a_key,
    b64,
    pem,
    sign,
)

CONTENT = b"what was built\n"
OURS = Instance()
OTHER = Instance()
KEY = a_key()
Document = dict[str, Any]
V2: Document = {"entry": "hashedrekord 0.0.2", "promise": False, "stamped": True}
KINDS: dict[str, Document] = {
    "Rekor v1": {},
    "Rekor v1, stamped": {"stamped": True},
    "Rekor v2": V2,
    "statement, Rekor v1": {"in_envelope": True, "entry": "dsse 0.0.1"},
    "statement, Rekor v1, in-toto": {"in_envelope": True, "entry": "intoto 0.0.2"},
    "statement, Rekor v2": {**V2, "in_envelope": True},
}


def entry(bundle: Document) -> Document:
    found: Document = bundle["verificationMaterial"]["tlogEntries"][0]
    return found


def with_stamp(bundle: Document, stamp: bytes) -> None:
    stamps = [{"signedTimestamp": b64(stamp)}]
    bundle["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": stamps}


def with_another_checkpoint(bundle: Document) -> None:
    proof = entry(bundle)["inclusionProof"]
    origin = proof["checkpoint"]["envelope"].split("\n")[0]
    text = f"{origin}\n2\n{proof['rootHash']}\n"
    proof["checkpoint"]["envelope"] = OURS.checkpoint(text, name=HOST, key=OTHER.log_key)


def with_another_sibling(bundle: Document) -> None:
    entry(bundle)["inclusionProof"]["hashes"] = [b64(bytes(32))]


NEGATIVE: dict[str, Callable[[Document], Any]] = {
    "promise of another time": lambda b: entry(b).update(
        integratedTime=str(int(MOMENT.timestamp()) + 1)
    ),
    "another signature": lambda b: b["messageSignature"].update(signature=b64(sign(KEY, b"x"))),
    "another sibling": with_another_sibling,
    "another log's checkpoint": with_another_checkpoint,
    "no proof": lambda b: entry(b).pop("inclusionProof"),
    "no entry": lambda b: b["verificationMaterial"].update(tlogEntries=[]),
    "an unknown member": lambda b: b.update(more=1),
    "an unknown version": lambda b: b.update(
        mediaType="application/vnd.dev.sigstore.bundle.v0.4+json"
    ),
    "an entry of another bundle": lambda b: b["verificationMaterial"].update(
        tlogEntries=OURS.bundle(CONTENT)["verificationMaterial"]["tlogEntries"]
    ),
}


class Both:
    """Our command and cosign, over the same files."""

    def __init__(self, cosign: Cosign, place: Path) -> None:
        self.cosign = cosign
        self.place = place
        (place / "a.txt").write_bytes(CONTENT)
        (place / "key.pub").write_bytes(pem(KEY))
        self.trust(OURS.trusted_root())

    def trust(self, root: Document) -> None:
        (self.place / "root.json").write_text(json.dumps(root))

    def take(
        self, bundle: Document, *, name: str = NAME, issuer: str = ISSUER
    ) -> tuple[bool, bool]:
        """Return whether we take the bundle, and whether cosign does."""
        file, artifact = self.place / "bundle.json", str(self.place / "a.txt")
        file.write_text(json.dumps(bundle))
        material = bundle["verificationMaterial"]
        who = (
            ("--key", str(self.place / "key.pub"))
            if "publicKey" in material
            else ("--certificate-identity", name, "--certificate-oidc-issuer", issuer)
        )
        words = ("--bundle", str(file), "--trusted-root", str(self.place / "root.json"), *who)
        ours = run(["bundle", "verify", *words, artifact])
        verb = ("verify-blob",)
        if "dsseEnvelope" in bundle:
            verb = ("verify-blob-attestation", "--type", "slsaprovenance1")
        stamps = ("--use-signed-timestamps",) if "timestampVerificationData" in material else ()
        theirs = self.cosign.run(*verb, *words, *stamps, artifact)
        self.told = theirs.stderr
        assert ours in (0, 1)
        return ours == 0, theirs.returncode == 0


@pytest.fixture
def both(cosign: Cosign, tmp_path: Path) -> Both:
    return Both(cosign, tmp_path)


@pytest.mark.parametrize("by_key", [False, True], ids=["keyless", "by key"])
@pytest.mark.parametrize("how", KINDS.values(), ids=KINDS.keys())
def test_cosign_takes_what_we_take(both: Both, how: Document, *, by_key: bool) -> None:
    key = KEY if by_key else None
    bundle = OURS.bundle(CONTENT, key=key, by_key=by_key, **how)
    assert both.take(bundle) == (True, True), both.told
    both.trust(OTHER.trusted_root())
    assert both.take(bundle) == (False, False)


@pytest.mark.parametrize("change", NEGATIVE.values(), ids=NEGATIVE.keys())
def test_cosign_refuses_what_we_refuse(both: Both, change: Callable[[Document], Any]) -> None:
    bundle = OURS.bundle(CONTENT)
    assert both.take(bundle) == (True, True), both.told
    change(bundle)
    assert both.take(bundle) == (False, False)


@pytest.mark.parametrize(
    "certificate",
    [
        {"names": [x509.RFC822Name("somebody@example.com")]},
        {"issuer": "https://example.net"},
        {"start": MOMENT - timedelta(minutes=11)},
        {"start": MOMENT + timedelta(minutes=1)},
        {"ct_logs": [OTHER.ct_log]},
        {"ct_logs": []},
    ],
    ids=["name", "issuer", "expired", "too early", "another CT log", "no CT log"],
)
def test_cosign_refuses_the_certificates_that_we_refuse(both: Both, certificate: Document) -> None:
    key = a_key()
    good = OURS.bundle(CONTENT, key=key, certificate=OURS.certificate(key))
    assert both.take(good) == (True, True), both.told
    bad = OURS.bundle(CONTENT, key=key, certificate=OURS.certificate(key, **certificate))
    assert both.take(bad) == (False, False)


def test_cosign_refuses_the_timestamps_that_we_refuse(both: Both) -> None:
    bundle = OURS.bundle(CONTENT, **V2)
    assert both.take(bundle) == (True, True), both.told
    for stamp in (OTHER.stamp(b"signature"), OURS.stamp(b"something else")):
        with_stamp(bundle, stamp)
        assert both.take(bundle) == (False, False)
    del bundle["verificationMaterial"]["timestampVerificationData"]
    assert both.take(bundle) == (False, False)


def test_both_check_a_file_by_its_hash(both: Both) -> None:
    bundle = OURS.bundle(CONTENT)
    (both.place / "a.txt").write_bytes(CONTENT + b"x")
    assert both.take(bundle) == (False, False)
