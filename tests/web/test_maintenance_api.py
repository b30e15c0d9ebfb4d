from __future__ import annotations

from flask.testing import FlaskClient

from service.domain.callers import Role
from tests.support.operations import World


def test_an_admin_turns_the_switch_and_everybody_sees_it(web: FlaskClient, world: World) -> None:
    admin, builder = world.authorization(Role.ADMIN), world.authorization(Role.BUILDER)
    off = {"on": False, "reason": None, "actor": None, "at": None}
    assert web.get("/v1/maintenance", headers=builder).json == off
    body = {"on": True, "reason": "a new HSM"}
    turned = web.put("/v1/maintenance", json=body, headers=admin)
    assert turned.status_code == 200
    assert (turned.json["on"], turned.json["reason"], turned.json["actor"]) == (
        True,
        "a new HSM",
        "admin",
    )
    assert web.get("/v1/maintenance", headers=builder).json == turned.json
    warned = web.get("/readyz?for=sign").json
    assert warned["ready"] is True
    assert web.put("/v1/maintenance", json={"on": False}, headers=admin).json["on"] is False


def test_nobody_else_turns_it(web: FlaskClient, world: World) -> None:
    for role in set(Role) - {Role.ADMIN}:
        headers = world.authorization(role)
        assert web.put("/v1/maintenance", json={"on": True}, headers=headers).status_code == 403
    assert world.operations.maintenance.show().is_on is False
