"""Certificates on the running product: what it starts with, and what it tells of one that ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from service.domain.clock import SystemClock
from service.verification.chains import Use, check_chain, unverified_from_pem
from tests.support.chains import YEAR, ca, issue, leaf, name, openssl_verifies, pem_of
from tests.support.product import Product

WITHIN_SECONDS = 60


def chain_of(product: Product, key: str, number: int = 1) -> tuple[bytes, ...]:
    answer = product.call("GET", f"/v1/keys/{key}/certificate-chain?version={number}", who=None)
    assert answer.status == 200, answer.body
    return unverified_from_pem(answer.body)


def eventually(look: Callable[[], Any], wanted: object) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while (seen := look()) != wanted:
        assert time.monotonic() < deadline, f"{seen} is still not {wanted}"
        time.sleep(0.1)


def test_the_keys_that_it_starts_with_are_certified(product: Product, tmp_path: Path) -> None:
    now = SystemClock().now()
    for key in ("release", "build"):
        chain = chain_of(product, key)
        check_chain(chain, use=Use.CODE_SIGNING, at=now)
        assert chain[-1:] == chain_of(product, "own-ca")
        assert openssl_verifies(chain, tmp_path, now) is None
    assert product.call("GET", "/v1/keys/log/certificate-chain", who=None).status == 404


def test_a_certificate_that_ends_is_told_everywhere_until_it_is_replaced(
    product: Product,
) -> None:
    made = product.call("POST", "/v1/keys", {"name": "ends", "purpose": "image"}, who="custodian")
    assert made.status == 201, made.body
    public = load_pem_public_key(product.public_key("ends").encode())
    now = SystemClock().now().replace(microsecond=0)
    first = replace(leaf(), subject=name("ends 1"), public=public, begin=now - YEAR)
    root = ca("a company's root", 60, begin=now - YEAR, end=now + YEAR)
    pem = pem_of(issue([replace(first, end=now + YEAR / 73), root]))  # five days
    path = "/v1/keys/ends/versions/1/certificate-chain"
    imported = product.call("PUT", path, {"certificates": pem}, who="custodian")
    assert imported.status == 200, imported.body

    def findings() -> list[str]:
        query = "/v1/findings?code=certificate-expiring&state=open"
        found = product.call("GET", query, who="auditor").body["items"]
        return [f["severity"] for f in found if f["subject"] == "ends/1"]

    def warnings() -> list[str]:
        ready = product.call("GET", "/readyz?for=sign", who=None)
        assert ready.status == 200
        return [w["code"] for w in ready.body["warnings"] if w["subject"] == "ends/1"]

    def gauge() -> float:
        line = 'sealwright_certificate_not_after_seconds{key="ends",version="1"} '
        text = str(product.call("GET", "/metrics", who=None).body)
        [figure] = re.findall(f"^{re.escape(line)}(.*)$", text, re.MULTILINE)
        return float(figure)

    eventually(findings, ["high"])
    assert warnings() == ["certificate-expiring"]
    assert gauge() == (now + YEAR / 73).timestamp()
    replaced = product.call("POST", "/v1/keys/ends/self-sign", {}, who="custodian")
    assert replaced.status == 200, replaced.body
    assert warnings() == []
    eventually(findings, [])
    assert gauge() > (now + YEAR).timestamp()


def test_the_key_of_our_own_ca_signs_no_image_whoever_asks(product: Product) -> None:
    digest = product.images.push_image("demo/ca")
    image = {"reference": f"{product.registry}/demo/ca@{digest}"}
    wanted = {
        "name": "may-everything",
        "person": "nobody",
        "role": "builder",
        "repositories": ["**"],
        "keys": ["*"],
    }
    token = product.call("POST", "/v1/credentials", wanted, who="admin").body["token"]
    headers = {"Authorization": f"Bearer {token}"}

    def sign(key: str) -> int:
        body = {"images": [image], "key": key}
        return product.call("POST", "/v1/signatures", body, who=None, headers=headers).status

    assert sign("release") == 201
    assert sign("own-ca") == 409


def test_rotation_certifies_in_the_same_act(product: Product) -> None:
    body = {"name": "turns", "purpose": "attestation"}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    certified = product.call("POST", "/v1/keys/turns/self-sign", {}, who="custodian")
    assert certified.body["certificate"]["origin"] == "own-ca"
    rotated = product.call("POST", "/v1/keys/turns/versions", {}, who="custodian")
    assert rotated.status == 201, rotated.body
    assert rotated.body["certificate"]["subject"].startswith("CN=turns v2,")
    check_chain(chain_of(product, "turns", 2), use=Use.CODE_SIGNING, at=SystemClock().now())
