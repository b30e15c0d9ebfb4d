"""A key's life on the running product: several processes, a real token, a real registry."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from dataclasses import dataclass, replace
from typing import Any

import pytest

from service.domain.digests import Digest
from tests.support.product import Answer, Product


@dataclass(frozen=True)
class Keeper:
    """A key of this test's own, its custodian, and a builder who may use it."""

    product: Product
    name: str

    def post(self, path: str, *, who: str = "custodian", **body: Any) -> Answer:
        return self.product.call("POST", f"/v1/keys/{self.name}{path}", body, who=who)

    def move(self, number: int, state: str, **more: Any) -> Answer:
        return self.post(f"/versions/{number}/state", state=state, **more)

    def versions(self) -> list[dict[str, Any]]:
        shown = self.product.call("GET", f"/v1/keys/{self.name}", who="custodian")
        return list(shown.body["versions"])

    def push(self) -> str:
        repository = f"life/{uuid.uuid4().hex[:12]}"
        digest = self.product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
        return f"{self.product.registry}/{repository}@{digest}"

    def sign(self, image: str, form: str = "cosign", **more: Any) -> Answer:
        return self.product.sign(image, key=self.name, formats=[form], **more)


@pytest.fixture
def keeper(product: Product) -> Keeper:
    name = f"life-{uuid.uuid4().hex[:8]}"
    made = product.call("POST", "/v1/keys", {"name": name, "purpose": "image"}, who="custodian")
    assert made.status == 201, made.body
    credential = {
        "name": f"builder-of-{name}",
        "person": "CI",
        "role": "builder",
        "repositories": ["**"],
        "keys": [name],
    }
    token = product.call("POST", "/v1/credentials", credential, who="admin").body["token"]
    return Keeper(replace(product, tokens={**product.tokens, "builder": token}), name)


def signed_by(answer: Answer) -> list[int]:
    assert answer.status == 201, answer.body
    return [made["key_version"] for made in answer.body["results"][0]["signatures"]]


def test_a_key_is_rotated_stopped_compromised_and_destroyed(keeper: Keeper) -> None:
    product, image = keeper.product, keeper.push()
    assert signed_by(keeper.sign(image)) == [1]
    rotated = keeper.post("/versions")
    assert (rotated.status, rotated.body["key"], rotated.body["version"]) == (201, keeper.name, 2)
    assert signed_by(keeper.sign(image)) == [2]
    beside = keeper.post("/versions", alongside=True)
    assert (beside.status, beside.body["version"]) == (201, 3)
    assert signed_by(keeper.sign(image)) == [2, 3]
    verdict = product.verdict(image)
    assert verdict["verdict"] == "verified"
    told = {s["key_version"]: s["outcome"] for s in verdict["signatures"]}
    assert told == {1: "verified", 2: "verified", 3: "verified"}

    # One custodian stops a key at once, in every process of the service.
    assert keeper.move(3, "suspended", reason="a look at it").status == 200
    assert keeper.move(2, "suspended").status == 200
    for _ in range(6):
        refused = keeper.sign(keeper.push(), attach=False)
        assert (refused.status, refused.body["code"]) == (409, "key-not-usable")
    assert product.verdict(image)["verdict"] == "verified"
    assert keeper.move(2, "active").status == 200
    assert signed_by(keeper.sign(keeper.push())) == [2]

    # A compromise rejects what the version has signed; what others signed stands.
    assert keeper.move(1, "compromised", reason="laptop lost").status == 200
    verdict = product.verdict(image)
    told = {s["key_version"]: s["reason"]["code"] for s in verdict["signatures"]}
    assert verdict["verdict"] == "verified"
    assert told[1] == "key-compromised"
    found = product.call("GET", "/v1/findings?code=key-compromised&state=open", who="auditor")
    assert f"{keeper.name}/1" in {finding["subject"] for finding in found.body["items"]}
    listed = product.call("GET", "/v1/withdrawals", who=None)
    assert listed.status == 200
    assert (keeper.name, 1) in {(i["key"], i["version"]) for i in listed.body["items"]}
    public = product.call("GET", f"/v1/keys/{keeper.name}/public-key?all=true", who=None).body
    assert keeper.versions()[0]["public_key"] not in public

    # Destruction needs two people here, and takes the key from its token.
    asked = keeper.move(1, "destroyed")
    assert (asked.status, asked.body["state"]) == (202, "pending")
    assert [v["locations"][0]["state"] for v in keeper.versions()] == ["present"] * 3
    approve = f"/v1/approvals/{asked.body['id']}/approve"
    approved = product.call("POST", approve, {}, who="custodian-2")
    assert (approved.status, approved.body["state"]) == (200, "executed")
    first = keeper.versions()[0]
    assert (first["state"], first["compromised"]) == ("destroyed", True)
    assert first["locations"][0]["state"] == "missing"
    assert product.verdict(image)["verdict"] == "verified"
    assert keeper.move(1, "active").body["code"] == "key-move-forbidden"


def test_what_lies_at_the_lookaside_alone_is_seen_and_falls_with_its_key(keeper: Keeper) -> None:
    image, other = keeper.push(), keeper.push()
    assert signed_by(keeper.sign(image, "openpgp")) == [1]
    seen = keeper.product.verdict(image)
    [one] = seen["signatures"]
    assert (seen["verdict"], one["format"], one["key"]) == ("verified", "openpgp", keeper.name)
    assert one["identity"] == image.partition("@")[0]
    assert keeper.product.verdict(other)["verdict"] == "unsigned"
    assert keeper.move(1, "compromised", reason="laptop lost").status == 200
    # Nobody is served it any more; that it was there is told all the same.
    seen = keeper.product.verdict(image)
    told = [reason["code"] for reason in seen["reasons"]]
    assert (seen["verdict"], told) == ("rejected", ["key-compromised"])


@pytest.mark.parametrize("form", ["cosign", "openpgp"])
def test_with_a_time_the_record_proves_what_is_older(keeper: Keeper, form: str) -> None:
    older, newer = keeper.push(), keeper.push()
    assert signed_by(keeper.sign(older, form)) == [1]
    # Late in a second: what else tells the time tells whole seconds, and must not prove too much.
    time.sleep((0.5 - time.time()) % 1)
    made = keeper.sign(newer, form).body["results"][0]["signatures"][0]
    moved = keeper.move(1, "compromised", since=made["created_at"])
    assert (moved.status, moved.body["compromised_since"]) == (200, made["created_at"])
    assert keeper.product.verdict(older)["verdict"] == "verified"
    assert keeper.product.verdict(newer)["verdict"] == "rejected"


def test_once_a_suspension_is_answered_no_signature_follows_it(keeper: Keeper) -> None:
    answered, stop = threading.Event(), threading.Event()
    begun = threading.Semaphore(0)
    late: list[Answer] = []
    statuses: list[int] = []

    def builder(number: int) -> None:
        for turn in itertools.count():
            if stop.is_set():
                return
            after = answered.is_set()
            digest = Digest.of(f"{keeper.name} {number} {turn}".encode())
            done = keeper.sign(f"{keeper.product.registry}/race@{digest}", attach=False)
            statuses.append(done.status)
            begun.release()
            if after and done.status == 201:
                late.append(done)

    threads = [threading.Thread(target=builder, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(9):
        assert begun.acquire(timeout=60)
    assert keeper.move(1, "suspended").status == 200
    answered.set()
    for _ in range(9):
        assert begun.acquire(timeout=60)
    stop.set()
    for thread in threads:
        thread.join()
    assert late == []
    # 201 before, 409 after, and 503 for those which the suspension overtook.
    assert {201, 409} <= set(statuses) <= {201, 409, 503}


def test_a_key_of_another_purpose_is_refused_where_it_has_no_business(keeper: Keeper) -> None:
    product = keeper.product
    for purpose in ("attestation", "log", "timestamp"):
        name = f"{purpose}-{uuid.uuid4().hex[:8]}"
        body = {"name": name, "purpose": purpose, "state": "staged"}
        assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
        wide = {
            "name": f"b-{name}",
            "person": "CI",
            "role": "builder",
            "repositories": ["**"],
            "keys": ["*"],
        }
        token = product.call("POST", "/v1/credentials", wide, who="admin").body["token"]
        builder = replace(product, tokens={**product.tokens, "builder": token})
        refused = builder.sign(keeper.push(), key=name)
        assert (refused.status, refused.body["code"]) == (409, "key-not-usable")
        assert f"a key for {purpose}, not for image" in refused.body["detail"]
