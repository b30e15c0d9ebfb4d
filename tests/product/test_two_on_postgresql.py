"""Two whole products on one PostgreSQL, one token and one registry: replicas of one service."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.product import Product, dev_environment, start_dev, stop_dev

SETTLE_SECONDS = 45


@pytest.mark.timeout(200)
def test_two_replicas_share_keys_and_records_and_lose_no_attachment(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str
) -> None:
    directory = tmp_path_factory.mktemp("replicas")
    database = {"SEALWRIGHT_DATABASE_URL": postgres_url}
    first, one = start_dev(directory / "one", env=database)
    settings = dev_environment(one)
    second, two = start_dev(
        directory / "two",
        "--registry",
        one.registry,
        "--module",
        settings["SEALWRIGHT_PKCS11_MODULE"],
        "--token",
        settings["SEALWRIGHT_TOKEN_LABEL"],
        "--pin-file",
        settings["SEALWRIGHT_PIN_FILE"],
        env={**database, "SOFTHSM2_CONF": settings["SOFTHSM2_CONF"]},
    )
    try:
        assert one.public_key() == two.public_key()
        repository = f"replicas/{uuid.uuid4().hex[:12]}"
        digest = one.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
        image = f"{one.registry}/{repository}@{digest}"

        def sign(number: int) -> str:
            replica: Product = (one, two)[number % 2]
            answer = replica.sign(image, annotations={"build": str(number // 2)})
            assert answer.status == 201, answer.body
            return str(answer.body["results"][0]["signatures"][0]["signature"])

        with ThreadPoolExecutor(16) as pool:
            signatures = list(pool.map(sign, range(16)))
        # Both replicas were asked for each of the eight statements: one signature stands.
        assert len(set(signatures)) == 8
        deadline = time.monotonic() + SETTLE_SECONDS
        lists = (one.images.signature_layers, one.images.referrer_entries)
        while min(len(listed(repository, digest)) for listed in lists) < 8:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert [len(listed(repository, digest)) for listed in lists] == [8, 8]
        assert one.verdict(image)["verdict"] == two.verdict(image)["verdict"] == "verified"
        listed = two.call(
            "GET", f"/v1/signatures?repository={one.registry}/{repository}", who="auditor"
        )
        assert len(listed.body["items"]) == 16
    finally:
        assert stop_dev(second) == 0
        assert stop_dev(first) == 0
