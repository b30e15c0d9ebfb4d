"""Eight threads sign for a minute: no crash, no error, and every signature verifies."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.domain.digests import Digest
from tests.support.processes import descendants
from tests.support.product import Product

SECONDS = float(os.environ.get("SEALWRIGHT_STRESS_SECONDS", "60"))
THREADS = 8


@pytest.mark.timeout(SECONDS * 2 + 300)
def test_eight_threads_sign_without_a_crash_or_an_error(product: Product) -> None:
    pem = product.public_key().encode()
    key = serialization.load_pem_public_key(pem)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    before = descendants(product.pid)
    stop = time.monotonic() + SECONDS
    http = urllib3.PoolManager(maxsize=THREADS, timeout=60.0, retries=False)
    headers = {
        "Authorization": f"Bearer {product.tokens['builder']}",
        "Content-Type": "application/json",
    }

    def sign_and_check(thread: int) -> int:
        count = 0
        while time.monotonic() < stop:
            digest = Digest(hashlib.sha256(f"{thread}/{count}".encode()).hexdigest())
            image = {"reference": f"{product.registry}/stress/t{thread}@{digest}"}
            answer = http.request(
                "POST",
                f"{product.url}/v1/signatures",
                json={"images": [image], "attach": False, "force": count % 7 == 0},
                headers=headers,
            )
            assert answer.status == 201, answer.data
            made = answer.json()["results"][0]["signatures"][0]
            payload = base64.b64decode(made["payload"])
            assert str(digest).encode() in payload
            signature = base64.b64decode(made["signature"])
            key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
            count += 1
        return count

    with ThreadPoolExecutor(THREADS) as pool:
        counts = list(pool.map(sign_and_check, range(THREADS)))
    print(f"{sum(counts)} signatures in {SECONDS:.0f} s")
    assert min(counts) > 0
    assert descendants(product.pid) == before, "a process died on the way"
