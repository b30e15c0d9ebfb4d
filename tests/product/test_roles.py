"""Servers of one role each, beside the product, on its database."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from tests.support.product import Product, dev_environment
from tests.support.serving import serving

SETTLE_SECONDS = 60
OF_THE_HSM = ("SEALWRIGHT_TOKEN", "SEALWRIGHT_PIN", "SEALWRIGHT_PKCS11", "SOFTHSM2_CONF")


def test_a_server_that_verifies_needs_neither_token_nor_pin(
    product: Product, tmp_path: Path
) -> None:
    env = {
        name: value
        for name, value in dev_environment(product).items()
        if not name.startswith(OF_THE_HSM)
    }
    digest = product.images.push_image("demo/roles", "1.0", {"x": uuid.uuid4().bytes})
    image = f"{product.registry}/demo/roles@{digest}"
    assert product.sign(image, formats=["cosign", "openpgp"]).status == 201
    words = ("--roles", "verify")
    with serving(product, tmp_path, env, *words, ready="/readyz?for=verify") as (verifier, _):
        assert verifier.verdict(image)["verdict"] == "verified"
        refused = verifier.sign(image)
        assert (refused.status, refused.body["code"]) == (421, "not-served-here")
        assert "the role sign; this one has verify" in refused.body["detail"]
        assert verifier.call("GET", "/readyz?for=sign", who=None).status == 503
        # What only the HSM can sign has been signed by the worker, which has one.
        for path in ("/v1/withdrawals", "/v1/trust/export?key=release"):
            deadline = time.monotonic() + SETTLE_SECONDS
            while (answer := verifier.call("GET", path, who=None)).status != 200:
                assert answer.status == 503, answer.body
                assert time.monotonic() < deadline, answer.body
                time.sleep(0.5)


def test_a_server_that_works_delivers_and_signs_for_nobody(
    product: Product, tmp_path: Path
) -> None:
    env = {**dev_environment(product), "SEALWRIGHT_ROLES": "worker"}
    with serving(product, tmp_path, env, ready="/readyz?for=worker") as (worker, _):
        image = f"{product.registry}/demo/roles@sha256:{uuid.uuid4().hex * 2}"
        for refused in (worker.sign(image), worker.call("POST", "/v1/verifications", {})):
            assert (refused.status, refused.body["code"]) == (421, "not-served-here")
        deadline = time.monotonic() + SETTLE_SECONDS
        while '"worker started"' not in (tmp_path / "log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "sealwright_outbox_orders" in worker.call("GET", "/metrics", who=None).body
