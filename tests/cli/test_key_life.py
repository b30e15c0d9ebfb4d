"""`sealwright keys …` for custodians: each command does what it says, by the API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.domain.callers import Role
from service.domain.jobs import Progress
from service.domain.keys import Attributes, GeneratedKey, Location
from tests.support.edge import Listening
from tests.support.operations import spki
from tests.web.test_reissues_api import DONE

Shell = Callable[..., Any]
URI = "pkcs11:token=test;object=old"


@pytest.fixture
def keys(shell: Shell) -> Shell:
    return lambda *words: shell("keys", *words, role=Role.CUSTODIAN)


def states(keys: Shell, name: str = "release") -> list[str]:
    return [version["state"] for version in keys("show", name, "--json").json["versions"]]


def test_a_key_lives_from_its_rotation_to_its_end(keys: Shell) -> None:
    rotated = keys("rotate", "release")
    assert rotated.code == 0
    assert rotated.out.startswith("release version 2: active, ec-p256, sha256 ")
    assert "on token test (0001): present" in rotated.out
    assert "sensitive yes, extractable not told" in rotated.out
    assert states(keys) == ["retired", "active"]
    assert keys("suspend", "release", "2", "--reason", "a look at it").code == 0
    assert keys("activate", "release", "2").code == 0
    assert keys("retire", "release", "2").code == 0
    assert keys("destroy", "release", "2", "--json").json["state"] == "destroyed"
    assert states(keys) == ["retired", "destroyed"]


def test_a_staged_version_is_activated_in_the_place_of_the_active_one_or_beside_it(
    keys: Shell,
) -> None:
    assert keys("rotate", "release", "--staged", "--algorithm", "ec-p384").code == 0
    assert keys("rotate", "release", "--staged", "--token", "test").code == 0
    assert keys("activate", "release", "2", "--alongside").code == 0
    assert states(keys) == ["active", "active", "staged"]
    assert keys("state", "release", "3", "active", "--reason", "planned").code == 0
    assert states(keys) == ["retired", "retired", "active"]
    assert keys("rotate", "release", "--alongside").code == 0
    assert states(keys) == ["retired", "retired", "active", "active"]
    assert keys("create", "next", "--staged").code == 0
    assert states(keys, "next") == ["staged"]


def test_a_compromise_is_told_with_its_time(keys: Shell) -> None:
    keys("rotate", "release")
    told = keys("compromise", "release", "1", "--since", "2h", "--reason", "laptop lost")
    assert told.code == 0
    assert "compromised (compromised since 2" in told.out
    absolute = keys("compromise", "release", "2", "--since", "2026-01-02T03:04:05Z", "--json")
    assert absolute.json["compromised_since"] == "2026-01-02T03:04:05.000Z"
    keys("create", "other")
    assert "from the beginning" in keys("compromise", "other", "1").out
    assert keys("compromise", "other", "1", "--since", "yesterday").code == 2


def test_a_forbidden_move_says_what_is_possible(keys: Shell) -> None:
    refused = keys("destroy", "release", "1")
    assert refused.code == 2
    assert "suspended or retired or compromised" in refused.err
    assert keys("state", "release", "1", "staged").code == 2
    assert keys("state", "release", "1", "gone").code == 2
    assert keys("retire", "release", "7").code == 2
    assert keys("retire", "release", "0").code == 2
    assert states(keys) == ["active"]


def test_nobody_else_moves_keys(shell: Shell) -> None:
    for words in (("rotate", "release"), ("suspend", "release", "1")):
        assert shell("keys", *words, role=Role.ADMIN).code == 3
        assert shell("keys", *words, role=None).code == 3


def test_a_key_on_a_token_is_adopted(keys: Shell, listening: Listening, tmp_path: Path) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    listening.world.maker.lying[URI] = GeneratedKey(
        b"\x01", spki(public), Location("test", "0001"), Attributes(True, False)
    )
    pem = tmp_path / "old.pem"
    pem.write_bytes(
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    adopted = keys("adopt", "old", URI, "--public-key", str(pem), "--purpose", "attestation")
    assert adopted.code == 0
    assert adopted.out.startswith("old: attestation key, ec-p256")
    assert keys("adopt", "new", URI, "--public-key", str(pem)).code == 2
    wished = keys("adopt", "new", URI, "--public-key", str(pem), "--allow-extractable")
    assert wished.code == 3
    pem.write_bytes(b"\xff")
    assert keys("adopt", "old", URI, "--public-key", str(pem)).code == 2
    assert keys("adopt", "old", URI, "--public-key", str(tmp_path / "none")).code == 2


def test_a_reissue_is_a_job_that_ends_in_one_where_something_is_wrong(
    shell: Shell, keys: Shell, listening: Listening
) -> None:
    ended = keys("reissue", "release", "1", "--dry-run")
    [job] = listening.world.jobs.jobs.values()
    assert (ended.code, ended.out) == (0, f"queued  {job.id}: 0 of 0\n")

    def show() -> Any:
        return shell("jobs", "show", job.id, role=Role.CUSTODIAN)

    assert show().out == ended.out
    held = listening.world.jobs.claim(owner="own", seconds=60)
    assert held is not None
    listening.world.jobs.finish(held, Progress(3, 3, 1), DONE)
    done = show()
    assert done.code == 1
    assert done.out == (
        "would be signed again under release v1: 2 reissued, 0 already, 0 gone, 1 failed\n"
    )
    assert done.err == (
        "failed  host/b@sha256:bb: away (hsm-unavailable)\n"
        "forged  host/app@sha256:aa as cosign by release v1\n"
    )
    assert keys("reissue", "release", "9").code == 2
