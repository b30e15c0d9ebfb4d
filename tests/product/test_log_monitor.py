"""`log monitor` at registries: whatever lies there by our keys, the log must hold."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.domain.digests import Descriptor, Digest
from service.domain.keys import Scheme
from service.domain.references import NO_REPOSITORY
from service.formats import dsse
from service.formats.notation import jws
from service.formats.notation.envelope import target_payload, to_raw
from tests.support.past_the_service import sign_past
from tests.support.payloads import a_statement, pae
from tests.support.product import Product, dev_environment
from tests.support.registry import OCI_INDEX, OCI_MANIFEST

DSSE_LAYER = "application/vnd.dsse.envelope.v1+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"


@dataclass(frozen=True)
class Monitor:
    product: Product
    state: Path
    env: dict[str, str]

    def __call__(self, *words: str) -> tuple[int, dict[str, Any], str]:
        program = str(Path(sys.executable).with_name("sealwright"))
        done = subprocess.run(
            [program, "log", "monitor", "--state", str(self.state), "--json", *words],
            env={**self.env, "SEALWRIGHT_URL": self.product.url},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr


@pytest.fixture
def monitor(product: Product, tmp_path: Path) -> Monitor:
    # No more than somebody has who watches from elsewhere: the file that names registries.
    name = "SEALWRIGHT_REGISTRIES_FILE"
    return Monitor(product, tmp_path / "seen.json", {name: dev_environment(product)[name]})


@dataclass(frozen=True)
class Place:
    product: Product
    repository: str
    digest: Digest

    @property
    def name(self) -> str:
        return f"{self.product.registry}/{self.repository}"

    def push(self, layers: list[dict[str, Any]], reference: str | None = None) -> Digest:
        """Push a manifest; without a name for it, as a referrer under the fallback tag."""
        config = self.layer(b"{}", "application/vnd.oci.image.config.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config}
        content = json.dumps({**manifest, "layers": layers}).encode()
        images, digest = self.product.images, Digest.of(content)
        images.push_manifest(self.repository, reference or str(digest), content)
        if reference is None:
            entry = {"mediaType": OCI_MANIFEST, "digest": str(digest), "size": len(content)}
            listed = [*images.referrer_entries(self.repository, self.digest), entry]
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
            tag = f"sha256-{self.digest.hex}"
            images.push_manifest(self.repository, tag, json.dumps(index).encode(), OCI_INDEX)
        return digest

    def layer(self, content: bytes, media_type: str, **annotations: str) -> dict[str, Any]:
        digest = self.product.images.push_blob(self.repository, content)
        described = {"mediaType": media_type, "digest": str(digest), "size": len(content)}
        return {**described, "annotations": annotations} if annotations else described


@pytest.fixture
def place(product: Product) -> Place:
    repository = f"monitored/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    return Place(product, repository, digest)


def forged_sig(place: Place) -> Digest:
    payload = uuid.uuid4().bytes  # cosign would not take it; it is signed all the same
    signature = base64.b64encode(sign_past(place.product, payload)).decode()
    layer = place.layer(
        payload, SIMPLE_SIGNING, **{"dev.cosignproject.cosign/signature": signature}
    )
    return place.push([layer], f"sha256-{place.digest.hex}.sig")


def envelope(place: Place) -> dict[str, Any]:
    payload, kind = uuid.uuid4().bytes, "application/x-anything"
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [
            {"sig": base64.b64encode(sign_past(place.product, dsse.pae(payload, kind))).decode()}
        ],
    }


def forged_att(place: Place) -> Digest:
    layer = place.layer(json.dumps(envelope(place)).encode(), DSSE_LAYER)
    return place.push([layer], f"sha256-{place.digest.hex}.att")


def forged_bundle(place: Place) -> Digest:
    content = json.dumps({"dsseEnvelope": envelope(place)}).encode()
    return place.push([place.layer(content, "application/vnd.dev.sigstore.bundle.v0.3+json")])


def forged_notation(place: Place) -> Digest:
    scheme = Scheme.ECDSA_P256_SHA256
    image = target_payload(Descriptor(OCI_MANIFEST, place.digest, 400))
    message = jws.signing_input(image, scheme=scheme, at=datetime.now(UTC))
    signature = to_raw(scheme, sign_past(place.product, message))
    return place.push([place.layer(jws.envelope(message, signature, [b"x"]), jws.MEDIA_TYPE)])


FORGERIES = (forged_sig, forged_att, forged_bundle, forged_notation)


def test_signatures_that_were_made_past_the_service_are_found_at_the_registry(
    place: Place, monitor: Monitor
) -> None:
    images = place.product.images
    child = images.push_image(place.repository, None, {"x": uuid.uuid4().bytes})
    index = images.push_index(place.repository, [child], "multi")
    signed = place.product.sign(f"{place.name}@{index}", recursive=True)
    assert signed.status == 201
    code, seen, _ = monitor("--repository", place.name)
    assert (code, seen["signatures"], seen["unlogged"]) == (0, 4, [])
    places = {f"{place.name}@{forge(place)}" for forge in FORGERIES}
    code, seen, _ = monitor("--repository", place.name)
    assert (code, seen["signatures"], seen["unanswered"]) == (1, 8, [])
    assert {one["place"] for one in seen["unlogged"]} == places
    assert {one["key"] for one in seen["unlogged"]} == {"release/1"}


def test_with_the_services_settings_it_is_a_critical_finding(
    place: Place, monitor: Monitor
) -> None:
    product = place.product
    # On record, so that the repository need not be named.
    assert product.sign(f"{place.name}@{place.digest}").status == 201
    where = f"{place.name}@{forged_att(place)}"
    local = Monitor(product, monitor.state, dev_environment(product))
    code, seen, told = local("--store")
    assert code == 1, told
    assert where in {one["place"] for one in seen["unlogged"]}
    query = "/v1/findings?code=signature-not-logged&severity=critical&limit=500"
    found = product.call("GET", query, who="auditor").body["items"]
    assert f"release/1 {where}" in {one["subject"] for one in found}


def test_what_a_plug_in_had_signed_without_a_repository_keeps_nobody_from_looking(
    place: Place, monitor: Monitor
) -> None:
    product = place.product
    plug_in = {
        "name": f"plug-in-{uuid.uuid4().hex[:8]}",
        "person": "CI",
        "role": "builder",
        "repositories": ["**"],
        "keys": ["release"],
        "rights": ["sign-payload"],
    }
    token = product.call("POST", "/v1/credentials", plug_in, who="admin").body["token"]
    payload = base64.b64encode(pae(a_statement(Digest.of(uuid.uuid4().bytes)))).decode()
    signed = replace(product, tokens={**product.tokens, "plug-in": token}).call(
        "POST",
        "/v1/keys/release/payload-signatures",
        {"encoding": "dsse-pae", "payload": payload},
        who="plug-in",
    )
    assert signed.status == 201, signed.body
    assert product.sign(f"{place.name}@{place.digest}").status == 201
    _, seen, told = Monitor(product, monitor.state, dev_environment(product))("--store")
    assert seen.get("signatures", 0) > 0, told
    # Other tests leave repositories of registries behind that are there no more.
    ours = (place.name, str(NO_REPOSITORY))
    assert [one for one in seen["unanswered"] if one.startswith(ours)] == []
