"""The quorum of `sealwright dev`: two custodians for `destroyed`, and for nothing else."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from tests.support.product import Product


def a_key(product: Product) -> str:
    name = f"quorum-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "purpose": "image", "algorithm": "ec-p256"}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    return name


def move(product: Product, name: str, state: str, who: str = "custodian") -> tuple[int, dict]:  # type: ignore[type-arg]
    path = f"/v1/keys/{name}/versions/1/state"
    answer = product.call("POST", path, {"state": state, "reason": "a test"}, who=who)
    return answer.status, answer.body


def test_two_custodians_destroy_a_version_and_one_is_enough_for_the_rest(product: Product) -> None:
    name = a_key(product)
    for state in ("suspended", "active", "retired"):
        assert move(product, name, state)[0] == 200
    status, asked = move(product, name, "destroyed")
    assert (status, asked["state"], asked["needed"], asked["missing"]) == (202, "pending", 2, 1)
    path = f"/v1/approvals/{asked['id']}"
    assert product.call("POST", f"{path}/approve", who="custodian").status == 403
    assert product.call("POST", f"{path}/approve", who="admin").status == 403
    shown = product.call("GET", f"/v1/keys/{name}", who="custodian").body["versions"][0]
    assert shown["state"] == "retired"

    def approve(number: int) -> int:
        return product.call("POST", f"{path}/approve", who="custodian-2").status

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(approve, range(6))) == [200, 409, 409, 409, 409, 409]
    ended = product.call("GET", path, who="auditor").body
    assert (ended["state"], ended["error"]) == ("executed", None)
    shown = product.call("GET", f"/v1/keys/{name}", who="custodian").body["versions"][0]
    assert shown["state"] == "destroyed"
    assert move(product, name, "destroyed")[0] == 409


def test_what_one_has_suspended_meanwhile_is_not_what_was_approved(product: Product) -> None:
    name = a_key(product)
    assert move(product, name, "retired")[0] == 200
    _, asked = move(product, name, "destroyed")
    assert move(product, name, "compromised", who="custodian-2")[0] == 200
    stale = product.call("POST", f"/v1/approvals/{asked['id']}/approve", who="custodian-2")
    assert (stale.status, stale.body["code"]) == (409, "approval-stale")
    _, again = move(product, name, "destroyed", who="custodian-2")
    done = product.call("POST", f"/v1/approvals/{again['id']}/approve", who="custodian")
    assert (done.status, done.body["state"]) == (200, "executed")


def test_a_third_custodian_needs_both(product: Product) -> None:
    body = {"name": f"third-{uuid.uuid4().hex[:8]}", "person": "Third", "role": "custodian"}
    made = product.call("POST", "/v1/credentials", body, who="admin")
    assert (made.status, made.body["missing"]) == (202, 2)
    rejected = product.call("POST", f"/v1/approvals/{made.body['id']}/reject", who="custodian")
    assert (rejected.status, rejected.body["state"]) == (200, "rejected")
