"""cosign, notation-go and openssl on the time stamps that signatures carry, ours and others'
(`make conformance`): what each takes, and what each refuses."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from service.bootstrap.formats import signature_formats
from service.domain.digests import Descriptor, Digest
from service.domain.keys import Scheme
from service.domain.media_types import OCI_MANIFEST
from service.domain.references import Repository
from service.domain.signing import Referrer, Signature, Statement, Timestamp
from service.formats.artifacts import artifact_of
from service.formats.referrerlist import add_referrers, fallback_tag
from service.formats.rfc3161 import query
from tests.conformance.test_attestation_judges import attest
from tests.conformance.test_trust_files import certify, export, judge_notation
from tests.support import chains
from tests.support.authorities import UnsafeAuthority
from tests.support.cosign import Cosign
from tests.support.openssl_tsa import OpenSSLAuthority
from tests.support.predicates import SLSA, provenance
from tests.support.product import Product, start_dev, stop_dev
from tests.support.scripted_http import ScriptedServer

FORMATS = signature_formats()
FILES = {"app/stamped": b"whose signatures carry stamps"}
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
Sign = Callable[..., list[dict[str, Any]]]


def authority_at(leaf_end: datetime, number: int) -> UnsafeAuthority:
    specs = chains.chain_specs(3, chains.stamping_leaf(end=leaf_end))
    ends = [leaf_end, NOW + chains.YEAR, NOW + chains.YEAR]
    changed = [
        replace(spec, end=end, number=number + place)
        for place, (spec, end) in enumerate(zip(specs, ends, strict=True))
    ]
    return UnsafeAuthority(at=NOW, specs=changed)


ENDED, STRANGER = authority_at(NOW - DAY, 61), authority_at(NOW + DAY, 65)


@dataclass
class Bench:
    """One signature of the product in each format, to be attached with any stamp, anywhere."""

    product: Product
    trust: Path
    made: dict[str, dict[str, Any]]
    others: OpenSSLAuthority

    def stamp(self, case: str, over: bytes) -> Timestamp | None:
        replies: dict[str, Callable[[], bytes]] = {
            "own": lambda: self._own(over),
            "openssl": lambda: self.others.reply(query(_sha256(over), nonce=1)),
            "over-something-else": lambda: self._own(over + b"!"),
            "tampered": lambda: self._own(over)[:-1] + b"\0",
            "untrusted": lambda: STRANGER.over(over),
            "expired": lambda: ENDED.over(over),
        }
        return Timestamp("x", NOW, replies[case]()) if case in replies else None

    def _own(self, over: bytes) -> bytes:
        body = query(_sha256(over), nonce=1)
        return bytes(self._stamped(body))

    def _stamped(self, body: bytes) -> bytes:
        words = ["curl", "--fail", "--silent", "--data-binary", "@-"]
        words += ["--header", "Content-Type: application/timestamp-query"]
        done = subprocess.run(
            [*words, f"{self.product.url}/v1/timestamps"],
            input=body,
            capture_output=True,
            check=True,
        )
        return done.stdout

    def attached(self, form: str, case: str) -> str:
        """Attach the signature with the case's stamp to the same image elsewhere; return it."""
        maker, told = FORMATS[form], self.made[form]
        registry, place = self.product.images, f"stamps/{uuid.uuid4().hex[:12]}"
        digest = registry.push_image(place, "1.0", FILES)
        stored = registry.get_manifest(place, str(digest))
        assert stored is not None
        subject = Descriptor(OCI_MANIFEST, digest, len(stored.content))
        scheme, raw = Scheme(told["algorithm"]), base64.b64decode(told["signature"])
        over = maker.stamped(raw, scheme)
        assert over is not None
        signature = Signature(
            told["id"],
            Statement(form, "release", 1, Repository(registry.host, place), digest, ""),
            scheme,
            base64.b64decode(told["payload"]),
            raw,
            b"",
            NOW,
            "cred",
            _spki(self.product.public_key()),
            chain=_chain(self.product, "release"),
            timestamp=self.stamp(case, over),
        )
        content = maker.attachment(signature, subject)
        artifact = artifact_of(content, subject)
        for blob in artifact.blobs:
            registry.push_blob(place, blob)
        assert artifact.manifest is not None
        pushed = Digest.of(artifact.manifest)
        registry.push_manifest(place, artifact.tag or str(pushed), artifact.manifest)
        if isinstance(content, Referrer):
            index = add_referrers(None, [content])
            assert index is not None
            registry.push_manifest(place, fallback_tag(digest), index.content, index.media_type)
        return f"{registry.host}/{place}@{digest}"


def _sha256(content: bytes) -> bytes:
    return bytes.fromhex(Digest.of(content).hex)


def _spki(pem: str) -> bytes:
    key = load_pem_public_key(pem.encode())
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _chain(product: Product, key: str) -> tuple[bytes, ...]:
    pem = product.call("GET", f"/v1/keys/{key}/certificate-chain", who=None).body
    found = x509.load_pem_x509_certificates(pem.encode())
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in found)


@pytest.fixture(scope="module")
def own_tsa(product: Product) -> str:
    name = f"stamps-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "purpose": "timestamp", "algorithm": "ec-p256"}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    certify(product, name)
    return name


@pytest.fixture(scope="module")
def bench(product: Product, own_tsa: str, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    place = tmp_path_factory.mktemp("stamps")
    digest = product.images.push_image("stamps/whole", "1.0", FILES)
    formats = ["cosign", "bundle", "notation", "notation-cose"]
    signed = product.sign(f"{product.registry}/stamps/whole@{digest}", formats=formats)
    assert signed.status == 201, signed.body
    made = {one["format"]: one for one in signed.body["results"][0]["signatures"]}
    assert all(one["timestamp"]["authority"] == "own" for one in made.values())
    trust = export(product, place / "trust", "release")
    others = OpenSSLAuthority(place / "openssl")
    _trust_too(trust, {"openssl": others.chain[1:], "ended": ENDED.chain})
    return Bench(product, trust, made, others)


def _trust_too(trust: Path, authorities: dict[str, tuple[bytes, ...]]) -> None:
    """Let the exported files trust these as well."""
    file = trust / "trusted_root.json"
    root = json.loads(file.read_text())
    for name, chain in authorities.items():
        certificates = [{"rawBytes": base64.b64encode(each).decode()} for each in chain]
        root["timestampAuthorities"].append(
            {
                "subject": {"organization": "Example", "commonName": name},
                "uri": f"https://{name}.example.com",
                "certChain": {"certificates": certificates},
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            }
        )
        store = trust / "notation" / "truststore" / "x509" / "tsa" / "sealwright"
        (store / f"{name}.pem").write_text(chains.pem_of(chain[-1:]))
    file.write_text(json.dumps(root))


CASES = {
    "own": True,
    "openssl": True,
    "none": False,
    "over-something-else": False,
    "tampered": False,
    "untrusted": False,
    "expired": False,
}
EACH_CASE = pytest.mark.parametrize("case", CASES)


@EACH_CASE
@pytest.mark.parametrize("form", ["cosign", "bundle"])
def test_cosign_takes_a_good_stamp_and_no_other(
    bench: Bench, both_cosigns: list[Cosign], form: str, case: str
) -> None:
    image = bench.attached(form, case)
    words = ("--key", str(bench.trust / "cosign.pub"), "--insecure-ignore-tlog")
    words += ("--trusted-root", str(bench.trust / "trusted_root.json"), "--allow-http-registry")
    for cosign in both_cosigns:
        bare = cosign.run("verify", *words, image)
        assert bare.returncode == 0, bare.stderr
        done = cosign.run("verify", "--use-signed-timestamps", *words, image)
        # Beside a `.sig` by a key cosign does not miss a stamp, and refuses a bad one.
        expected = CASES[case] or (form, case) == ("cosign", "none")
        assert (done.returncode == 0) is expected, (cosign.program, done.stderr)


@pytest.mark.parametrize("form", ["cosign", "bundle"])
def test_cosign_takes_stamp_and_log_together(
    bench: Bench, both_cosigns: list[Cosign], sign: Sign, form: str
) -> None:
    place = f"stamps/{uuid.uuid4().hex[:12]}"
    digest = bench.product.images.push_image(place, "1.0", FILES)
    image = f"{bench.product.registry}/{place}@{digest}"
    sign(image, formats=[form])
    words = ("--key", str(bench.trust / "cosign.pub"), "--use-signed-timestamps")
    words += ("--trusted-root", str(bench.trust / "trusted_root.json"), "--allow-http-registry")
    for cosign in both_cosigns:
        done = cosign.run("verify", *words, image)
        assert done.returncode == 0, (cosign.program, done.stderr)
        # Without the log's key the entry is nobody's, whatever the stamp says.
        unlogged = json.loads((bench.trust / "trusted_root.json").read_text()) | {"tlogs": []}
        (cosign.home / "unlogged.json").write_text(json.dumps(unlogged))
        other = ("--trusted-root", "unlogged.json", image)
        assert cosign.run("verify", *words, *other).returncode != 0


def test_cosign_takes_the_stamps_of_attestations(
    bench: Bench, both_cosigns: list[Cosign], tmp_path: Path
) -> None:
    product, place = bench.product, f"stamps/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(place, "1.0", FILES)
    image = f"{product.registry}/{place}@{digest}"
    attest(product, image, SLSA, provenance())
    trust = export(product, tmp_path / "build", "build")
    unstamped = json.loads((trust / "trusted_root.json").read_text()) | {"timestampAuthorities": []}
    (tmp_path / "unstamped.json").write_text(json.dumps(unstamped))
    for cosign in both_cosigns:
        for root, accepted in (
            (trust / "trusted_root.json", True),
            (tmp_path / "unstamped.json", False),
        ):
            form = ("--new-bundle-format",) if cosign.is_older else ()
            done = cosign.run(
                *("verify-attestation", *form, "--type", "slsaprovenance1"),
                *("--key", str(trust / "cosign.pub"), "--trusted-root", str(root)),
                *("--use-signed-timestamps", "--allow-http-registry", image),
            )
            assert (done.returncode == 0) is accepted, (cosign.program, done.stderr)


def demanding(trust: Path, place: Path, when: str, *, stores: list[str] | None = None) -> Path:
    """A copy of the exported files whose policy wants stamps `always` or `afterCertExpiry`."""
    subprocess.run(["cp", "-r", str(trust), str(place)], check=True)
    file = place / "notation" / "trustpolicy.json"
    policy = json.loads(file.read_text())
    rule = policy["trustPolicies"][0]
    rule["signatureVerification"]["verifyTimestamp"] = when
    if stores is not None:
        rule["trustStores"] = stores
        del rule["signatureVerification"]["verifyTimestamp"]
    file.write_text(json.dumps(policy))
    return place


@EACH_CASE
@pytest.mark.parametrize("form", ["notation", "notation-cose"])
def test_notation_takes_a_good_stamp_and_no_other(
    bench: Bench, tmp_path: Path, form: str, case: str
) -> None:
    image = bench.attached(form, case)
    done = judge_notation(demanding(bench.trust, tmp_path / "always", "always"), image)
    assert (done.returncode == 0) is CASES[case], done.stderr
    # As exported: asked for only when the certificates have ended.
    assert judge_notation(bench.trust, image).returncode == 0


def certified_until(product: Product, end: datetime) -> str:
    """Make a key whose certificate ends then, by a CA of the test's own."""
    name = f"ends-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "purpose": "image", "algorithm": "ec-p256"}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    public = load_pem_public_key(product.public_key(name).encode())
    leaf = chains.Spec(
        chains.name(name), extended=chains.CODE_SIGNING, end=end, begin=NOW - DAY, public=public
    )
    root = chains.ca("root of what ends", 71, end=NOW + chains.YEAR)
    body = {"certificates": chains.pem_of(chains.issue([leaf, root]))}
    path = f"/v1/keys/{name}/versions/1/certificate-chain"
    done = product.call("PUT", path, body, who="custodian")
    assert done.status == 200, done.body
    return name


@pytest.mark.parametrize("form", ["notation", "notation-cose"])
def test_what_was_stamped_while_its_certificate_was_valid_verifies_after(
    bench: Bench, sign: Sign, tmp_path: Path, form: str
) -> None:
    product = bench.product
    # Where the machine stalls it may end too soon: then the next has more time.
    for seconds in (6, 20, 80):
        images = []
        for name in ("before", "after"):
            place = f"stamps/{name}-{uuid.uuid4().hex[:8]}"
            digest = product.images.push_image(place, "1.0", {"x": uuid.uuid4().bytes})
            images.append(f"{product.registry}/{place}@{digest}")
        before, after = images
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        key = certified_until(product, end)
        [made] = sign(before, key, formats=[form])
        if datetime.fromisoformat(made["timestamp"]["at"]) + timedelta(seconds=1) < end:
            break
    else:
        pytest.fail("no certificate lasted until its first signature was stamped")
    trust = export(product, tmp_path / "trust", key)
    assert judge_notation(trust, before).returncode == 0
    while datetime.now(UTC) <= end + timedelta(seconds=2):
        time.sleep(0.1)
    done = judge_notation(trust, before)
    assert done.returncode == 0, done.stderr
    assert product.verdict(before)["verdict"] == "verified"
    untimed = demanding(trust, tmp_path / "untimed", "", stores=["ca:sealwright"])
    refused = judge_notation(untimed, before)
    assert refused.returncode != 0
    assert "after" in refused.stderr
    # A stamp of later proves nothing.
    sign(after, key, formats=[form])
    refused = judge_notation(trust, after)
    assert refused.returncode != 0
    assert "timestamp" in refused.stderr
    verdict = product.verdict(after)
    assert verdict["verdict"] == "rejected"
    assert [reason["code"] for reason in verdict["reasons"]] == ["certificate-expired"]


@pytest.fixture(scope="module")
def external(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Product, OpenSSLAuthority]]:
    """A product of its own, whose signatures openssl's authority stamps."""
    place = tmp_path_factory.mktemp("external")
    authority = OpenSSLAuthority(place / "openssl")
    with ScriptedServer(authority.serve) as server:
        entry = {"name": "openssl", "url": f"http://{server.host}/", "http": True}
        entry["chain_file"] = str(authority.place / "chain.pem")
        file = place / "timestamps.yaml"
        file.write_text(json.dumps({"authorities": [entry]}))
        process, product = start_dev(
            place / "state", env={**os.environ, "SEALWRIGHT_TIMESTAMPS_FILE": str(file)}
        )
        try:
            yield product, authority
        finally:
            assert stop_dev(process) == 0


def test_stamps_of_an_external_authority_are_taken_with_the_files_that_we_serve(
    external: tuple[Product, OpenSSLAuthority], both_cosigns: list[Cosign], tmp_path: Path
) -> None:
    product, authority = external
    trust = export(product, tmp_path / "trust", "release")
    words = ("--key", str(trust / "cosign.pub"), "--use-signed-timestamps")
    words += ("--trusted-root", str(trust / "trusted_root.json"), "--allow-http-registry")
    always = demanding(trust, tmp_path / "always", "always")
    for form in ("cosign", "bundle", "notation", "notation-cose"):
        digest = product.images.push_image(f"external/{form}", "1.0", FILES)
        image = f"{product.registry}/external/{form}@{digest}"
        signed = product.sign(image, formats=[form])
        assert signed.status == 201, signed.body
        [made] = signed.body["results"][0]["signatures"]
        assert (made["timestamp"]["authority"], made["attachment"]["state"]) == (
            "openssl",
            "attached",
        )
        if form.startswith("notation"):
            done = judge_notation(always, image)
            assert done.returncode == 0, done.stderr
            continue
        (tmp_path / "signature").write_bytes(base64.b64decode(made["signature"]))
        (tmp_path / "reply").write_bytes(base64.b64decode(made["timestamp"]["reply"]))
        verify = ["openssl", "ts", "-verify", "-data", "signature", "-in", "reply"]
        verify += ["-CAfile", str(authority.place / "root.pem")]
        assert subprocess.run(verify, cwd=tmp_path, check=False).returncode == 0
        for cosign in both_cosigns:
            checked = cosign.run("verify", *words, image)
            assert checked.returncode == 0, (cosign.program, checked.stderr)
