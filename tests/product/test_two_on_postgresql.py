"""Two whole products on one PostgreSQL, one token and one registry: replicas of one service."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from service.bootstrap.policy_file import CHECK_EVERY_SECONDS
from service.domain.digests import Digest
from service.store import Store
from tests.support.postgres_pair import FAST, IMMEDIATE, PostgresPair, postgres_pair
from tests.support.product import Answer, Product
from tests.support.registry import DockerRegistry
from tests.support.replicas import (
    Load,
    assert_log_verifies,
    assert_nothing_is_lost,
    crash_database,
    kill_a_worker,
    two_replicas,
)
from tests.support.waiting import until


@dataclass(frozen=True)
class Replicas:
    both: tuple[Product, Product]
    pair: PostgresPair
    registry: DockerRegistry


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    directory = tmp_path_factory.mktemp("replicas")
    registry = DockerRegistry(directory / "registry")
    registry.start()
    try:
        with (
            postgres_pair() as pair,
            two_replicas(directory, pair.url, registry=registry.host) as both,
        ):
            yield Replicas(both, pair, registry)
    finally:
        registry.stop()


def test_two_replicas_share_keys_and_records_and_lose_no_attachment(replicas: Replicas) -> None:
    one, two = replicas.both
    assert one.public_key() == two.public_key()
    repository = f"replicas/{uuid.uuid4().hex[:12]}"
    digest = one.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    image = f"{one.registry}/{repository}@{digest}"

    def sign(number: int) -> str:
        answer = replicas.both[number % 2].sign(image, annotations={"build": str(number // 2)})
        assert answer.status == 201, answer.body
        return str(answer.body["results"][0]["signatures"][0]["signature"])

    with ThreadPoolExecutor(16) as pool:
        signatures = list(pool.map(sign, range(16)))
    # Both replicas were asked for each of the eight statements: one signature stands.
    assert len(set(signatures)) == 8
    lists = (one.images.signature_layers, one.images.referrer_entries)
    until(lambda: min(len(listed(repository, digest)) for listed in lists) >= 8)
    assert [len(listed(repository, digest)) for listed in lists] == [8, 8]
    assert one.verdict(image)["verdict"] == two.verdict(image)["verdict"] == "verified"
    listed = two.call(
        "GET", f"/v1/signatures?repository={one.registry}/{repository}", who="auditor"
    )
    assert len(listed.body["items"]) == 16


def test_a_credential_that_calls_too_often_is_stopped_at_both_together(replicas: Replicas) -> None:
    one, two = replicas.both
    name = f"limited-{uuid.uuid4().hex[:8]}"
    wanted = {"name": name, "person": "Ada", "role": "auditor"}
    made = one.call("POST", "/v1/credentials", wanted, who="admin")
    assert made.status == 201, made.body
    limit = {"rate_limits": {"credentials": {name: {"per_minute": 1, "burst": 40}}}}
    for replica in replicas.both:
        policy = replica.state / "policy.yaml"
        policy.write_text(json.dumps({**json.loads(policy.read_text()), **limit}))
    time.sleep(CHECK_EVERY_SECONDS)  # from now on every process looks before it answers
    limited = {"Authorization": f"Bearer {made.body['token']}"}

    def call(number: int) -> Answer:
        replica = replicas.both[number % 2]
        return replica.call("GET", "/v1/audit-events?limit=1", who=None, headers=limited)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(160)))
    # Alone, each of their four processes would have let forty through. What the others have in
    # hand may be left over; a stall of minutes would let a few more through.
    assert 30 <= sum(answer.status == 200 for answer in answers) <= 50
    refused = [answer for answer in answers if answer.status != 200]
    assert {(answer.status, answer.body["code"]) for answer in refused} == {(429, "rate-limited")}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    for replica in (one, two):
        assert replica.call("GET", "/v1/audit-events?limit=1", who="auditor").status == 200


def test_workers_and_the_database_die_under_load_and_nothing_is_lost(replicas: Replicas) -> None:
    load = Load(replicas.both)
    with load.running(callers=6):
        load.wait_for(5)
        for replica in replicas.both:
            kill_a_worker(replica)
            load.wait_for(5)
        crash_database(replicas.pair.url)
        load.wait_for(5)
    assert_nothing_is_lost(load, replicas.pair.url)


def test_a_database_that_is_restarted_and_fails_over_under_load_loses_neither_records_nor_leases(
    replicas: Replicas,
) -> None:
    pair = replicas.pair
    load = Load(replicas.both, later=True)
    with closing(Store(pair.url)) as store, load.running(callers=6):
        lease = store.leases.acquire("drill", owner="one", seconds=600)
        assert lease is not None
        load.wait_for(5)
        pair.restart(FAST)
        load.wait_for(5)
        pair.restart(IMMEDIATE)
        load.wait_for(5)
        pair.wait_until_synchronous()
        pair.fail_over()
        load.wait_for(5)
        # What was held is held still, by whom it was.
        assert store.leases.acquire("drill", owner="two", seconds=600) is None
        store.leases.renew(lease, seconds=600)
        store.leases.release(lease)
        assert store.leases.acquire("drill", owner="two", seconds=1) is not None
    assert_nothing_is_lost(load, pair.url)
    assert_log_verifies(replicas.both[0])


def test_a_response_that_is_lost_is_had_from_the_other_replica(replicas: Replicas) -> None:
    one, two = replicas.both
    repository = f"replicas/{uuid.uuid4().hex[:12]}"
    image = f"{one.registry}/{repository}@{Digest.of(repository.encode())}"
    body = {"images": [{"reference": image}], "attach": False, "force": True}
    key = {"Idempotency-Key": uuid.uuid4().hex}

    def recorded() -> list[dict[str, Any]]:
        path = f"/v1/signatures?repository={one.registry}/{repository}"
        return list(two.call("GET", path, who="auditor").body["items"])

    def sign(replica: Product) -> Answer | None:
        answer = replica.call("POST", "/v1/signatures", body, headers=key)
        assert answer.status in (201, 409), answer.body
        return answer if answer.status == 201 else None

    asked = HTTPConnection(str(urlsplit(one.url).hostname), urlsplit(one.url).port)
    headers = {
        "Authorization": f"Bearer {one.tokens['builder']}",
        "Content-Type": "application/json",
    }
    asked.request("POST", "/v1/signatures", json.dumps(body), {**headers, **key})
    until(recorded)
    asked.close()  # nobody reads what it says
    answer = until(lambda: sign(two))
    again = until(lambda: sign(one))
    assert answer.body == again.body
    made = answer.body["results"][0]["signatures"]
    assert sorted(each["id"] for each in recorded()) == sorted(each["id"] for each in made)
    assert [each["format"] for each in made] == ["cosign", "bundle"]
    # With a key of its own the same request makes more.
    key = {"Idempotency-Key": uuid.uuid4().hex}
    until(lambda: sign(two))
    assert len(recorded()) == 4


def test_a_registry_and_workers_that_go_away_under_load_cost_no_attachment_and_double_none(
    replicas: Replicas,
) -> None:
    registry = replicas.registry
    repository = f"load/{uuid.uuid4().hex[:12]}"
    images = [registry.push_image(repository, files={"n": bytes([n])}) for n in range(60)]
    load = Load(replicas.both, repository, images)
    # What is asked for while the registry is away is refused; what was being attached waits.
    with load.running(callers=6):
        load.wait_for(5)
        registry.stop()
        load.wait_for_refusals(10)
        kill_a_worker(replicas.both[0])
        load.wait_for_refusals(10)
        registry.start()
        load.wait_for(5)
    assert_nothing_is_lost(load, replicas.pair.url)
    digests = [Digest.parse(image.partition("@")[2]) for image in load.finished]
    lists = (registry.signature_layers, registry.referrer_entries)

    # Who reads docker-registry while it writes may be told anything.
    waiting = "/v1/attachments?state=pending&limit=500"
    until(lambda: not replicas.both[0].call("GET", waiting, who="auditor").body["items"])
    found = [len(listed(repository, digest)) for digest in digests for listed in lists]
    assert set(found) == {1}
