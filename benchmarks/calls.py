"""What the benchmarks ask of the service, and the check that its answers are the truth.

The load generator looks at the status alone. So that speed is not bought with wrong answers,
one answer of each load is taken apart: its signatures verify under the published key, over
payloads that name the images asked for, and they are on record.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Sequence
from typing import Any, Final

import urllib3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from benchmarks.ceilings import BenchmarkError
from benchmarks.load import http_request
from benchmarks.product import Product

REPOSITORY: Final = "bench/app"
CHECKED_SIGNATURES: Final = 20  # of one answer
SETTLE_SECONDS: Final = 40.0  # the outbox looks again after 2 and 10 seconds


def fresh_digests(count: int) -> Sequence[str]:
    """Return digests that nobody has signed: a statement that stands would not be signed again."""
    text = os.urandom(32 * count).hex()
    return [f"sha256:{text[start : start + 64]}" for start in range(0, len(text), 64)]


def signing_body(
    product: Product, repository: str, digests: Sequence[str], *, attach: bool
) -> bytes:
    references = [f"{product.registry}/{repository}@{digest}" for digest in digests]
    body = {
        "images": [{"reference": reference} for reference in references],
        "key": product.key,
        "formats": ["cosign"],  # one signature an image, as the ceilings have it
        "attach": attach,
    }
    return json.dumps(body).encode()


def signing_request(product: Product, count: int, *, keep_alive: bool) -> bytes:
    """Return the bytes of a request to sign as many new digests without a registry."""
    return http_request(
        "POST",
        "/v1/signatures",
        host=product.host,
        token=product.builder,
        body=signing_body(product, REPOSITORY, fresh_digests(count), attach=False),
        keep_alive=keep_alive,
    )


class API:
    """Single calls, outside of what is measured."""

    def __init__(self, product: Product) -> None:
        self._product = product
        host, port = product.address
        self._http = urllib3.HTTPConnectionPool(host, port, retries=False, timeout=60)
        answer = self._http.request("GET", f"/v1/keys/{product.key}/public-key")
        key = load_pem_public_key(answer.data)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise BenchmarkError("the ceilings are those of P-256, and the key is of another kind")
        self._key = key

    def sign_and_attach(self, repository: str, digests: Sequence[str]) -> float:
        """Sign and attach in one request, and return the seconds until the answer."""
        body = signing_body(self._product, repository, digests, attach=True)
        headers = {**self._as(self._product.builder), "Content-Type": "application/json"}
        began = time.perf_counter()
        answer = self._http.request("POST", "/v1/signatures", body=body, headers=headers)
        took = time.perf_counter() - began
        if answer.status != 201:
            raise BenchmarkError(f"the service answered {answer.status}: {answer.data[:500]!r}")
        self.check(answer.data, attached=True)
        return took

    def check(self, answer: bytes, *, attached: bool = False) -> None:
        """Take an answer of `POST /v1/signatures` apart.

        Raises:
            BenchmarkError: it is not true.
        """
        told = json.loads(answer)
        if told["failed"] != 0 or told["succeeded"] != len(told["results"]):
            raise BenchmarkError(f"{told['failed']} items failed")
        wanted = "attached" if attached else "none"
        for result in told["results"]:
            state = result["signatures"][0]["attachment"]["state"]
            if state != wanted:
                raise BenchmarkError(f"an attachment is {state}, not {wanted}")
        step = max(1, len(told["results"]) // CHECKED_SIGNATURES)
        for result in told["results"][::step]:
            self._check_signature(result["digest"], result["signatures"][0])

    def settle(self) -> None:
        """Wait until the outbox has nothing more to look at."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while self._get("/v1/outbox?state=waiting&limit=1")["items"]:
            if time.monotonic() > deadline:
                raise BenchmarkError("the outbox does not come to rest")
            time.sleep(0.25)

    def _check_signature(self, digest: str, made: dict[str, Any]) -> None:
        payload, signature = (base64.b64decode(made[name]) for name in ("payload", "signature"))
        try:
            self._key.verify(signature, payload, ec.ECDSA(SHA256()))
        except InvalidSignature as error:
            raise BenchmarkError("a signature does not verify") from error
        if digest.encode() not in payload:
            raise BenchmarkError("a payload names another image")
        recorded = self._get(f"/v1/signatures/{made['id']}")
        if (recorded["signature"], recorded["payload"]) != (made["signature"], made["payload"]):
            raise BenchmarkError("a signature is not on record as it was answered")

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._http.request("GET", path, headers=self._as(self._product.auditor))
        if answer.status != 200:
            raise BenchmarkError(f"GET {path}: {answer.status} {answer.data[:300]!r}")
        told: dict[str, Any] = json.loads(answer.data)
        return told

    def _as(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}
