from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.domain.callers import Role
from service.domain.digests import Digest
from service.domain.errors import every_error
from service.domain.meanings import MEANINGS
from service.domain.signing import AttachmentState
from service.domain.tokens import is_well_formed
from tests.support.edge import Listening
from tests.support.operations import signed, unknown_outcome

Shell = Callable[..., Any]


def test_anybody_reads_keys(shell: Shell) -> None:
    listed = shell("keys", "list", role=None)
    assert listed.code == 0
    assert listed.out.splitlines()[1].split() == ["release", "image", "ec-p256", "1", "active"]
    assert shell("keys", "list", "--purpose", "log", "--json", role=None).json == []
    assert "version 1: active" in shell("keys", "show", "release", role=None).out
    assert shell("keys", "show", "release", "--json").json["name"] == "release"
    assert shell("keys", "show", "none").code == 2


def test_public_keys_are_printed_in_the_form_asked_for(shell: Shell) -> None:
    pem = shell("keys", "public-key", "release", role=None)
    assert pem.out.startswith("-----BEGIN PUBLIC KEY-----")
    assert shell("keys", "public-key", "release", "--version", "1").out == pem.out
    assert shell("keys", "public-key", "release", "--all").out == pem.out
    assert shell("keys", "public-key", "release", "--jwk").json["kty"] == "EC"
    assert shell("keys", "public-key", "release", "--version", "7").code == 2
    assert shell("keys", "public-key", "release", "--all", "--version", "1").code == 2


def test_a_custodian_makes_keys_and_nobody_else(shell: Shell) -> None:
    made = shell("keys", "create", "build", "--purpose", "attestation", role=Role.CUSTODIAN)
    assert made.code == 0
    assert "build: attestation key, ec-p256" in made.out
    assert "on token test (0001)" in made.out
    assert shell("keys", "create", "build", role=Role.CUSTODIAN).code == 2
    assert shell("keys", "create", "other", role=Role.ADMIN).code == 3
    third = shell("keys", "create", "third", "--token", "test", "--json", role=Role.CUSTODIAN)
    assert third.json["purpose"] == "image"


def test_a_new_token_goes_to_a_file_that_only_its_owner_reads(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "ci.token"
    made = shell(
        *("credentials", "create", "ci", "--person", "Ada", "--role", "builder"),
        *("--repository", "registry.example.com/**", "--key", "release", "--right", "sign-payload"),
        *("--expires", "90d", "--output", str(file)),
        role=Role.ADMIN,
    )
    assert (made.code, made.out) == (0, f"ci: builder, token in {file}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert is_well_formed(file.read_text())
    [shown] = [
        c for c in shell("credentials", "list", "--json", role=Role.ADMIN).json if c["name"] == "ci"
    ]
    assert shown["repositories"] == ["registry.example.com/**"]
    assert shown["expires_at"] is not None


def test_without_a_file_the_token_is_printed_alone_and_once(shell: Shell) -> None:
    arguments = ("credentials", "create", "ci", "--person", "Ada", "--role", "auditor")
    made = shell(*arguments, role=Role.ADMIN)
    assert is_well_formed(made.out.removesuffix("\n"))
    other = shell(*("credentials", "create", "ci2"), *arguments[3:], "--json", role=Role.ADMIN)
    assert is_well_formed(other.json["token"])


def test_a_file_that_exists_is_not_overwritten_and_no_credential_is_made(
    shell: Shell, listening: Listening, tmp_path: Path
) -> None:
    file = tmp_path / "precious"
    file.write_text("precious")
    arguments = ("credentials", "create", "ci", "--person", "Ada", "--role", "builder")
    for path in (file, tmp_path / "none" / "file"):
        assert shell(*arguments, "--output", str(path), role=Role.ADMIN).code == 2
    assert file.read_text() == "precious"
    assert "ci" not in listening.world.book.credentials


def test_a_refused_credential_leaves_no_file_behind(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "token"
    arguments = ("credentials", "create", "ci", "--person", "Ada", "--role", "builder")
    assert shell(*arguments, "--output", str(file), role=Role.BUILDER).code == 3
    assert not file.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--person", "Ada"],
        ["--role", "builder"],
        ["--person", "Ada", "--role", "root"],
        ["--person", "Ada", "--role", "builder", "--expires", "soon"],
        ["--person", "Ada", "--role", "builder", "--expires", "2999-01-01T00:00:00"],
        ["--person", "Ada", "--first", "--role", "builder"],
        ["--person", "Ada", "--first", "--repository", "**"],
    ],
)
def test_a_credential_typed_wrong_ends_in_two(shell: Shell, arguments: list[str]) -> None:
    assert shell("credentials", "create", "ci", *arguments, role=Role.ADMIN).code == 2


def test_credentials_are_listed_and_revoked(shell: Shell) -> None:
    revoked = shell("credentials", "revoke", "verifier", role=Role.ADMIN)
    assert (revoked.code, revoked.out.startswith("verifier: revoked ")) == (0, True)
    as_json = shell("credentials", "revoke", "verifier", "--json", role=Role.ADMIN).json
    assert as_json["name"] == "verifier"
    listed = shell("credentials", "list", role=Role.ADMIN).out
    assert "revoked 2" in next(line for line in listed.splitlines() if "verifier" in line)
    assert "valid" in next(line for line in listed.splitlines() if "builder" in line)
    assert shell("credentials", "revoke", "none", role=Role.ADMIN).code == 2
    assert shell("credentials", "list", role=Role.CUSTODIAN).code == 3


def test_what_was_begun_and_has_no_outcome_is_listed(shell: Shell, listening: Listening) -> None:
    nothing = shell("intents", "list", role=Role.AUDITOR)
    assert (nothing.code, nothing.out.split()[:2]) == (0, ["ID", "MADE"])
    assert "no signature" not in nothing.out
    digest = Digest.of(b"x")
    intent = unknown_outcome("registry.example.com/app", digest)
    listening.world.journal.intents.append(intent)
    listed = shell("intents", "list", role=Role.AUDITOR)
    assert f"registry.example.com/app@{digest}" in listed.out
    assert "release v1" in listed.out
    assert "no signature of these has left" in listed.out
    assert [one["id"] for one in shell("intents", "list", "--json").json] == [intent.intent_id]
    assert shell("intents", "list", "--repository", "registry.example.com/b", "--json").json == []
    assert shell("intents", "list", role=Role.VERIFIER).code == 3


def test_orders_are_shown_and_retried(shell: Shell, listening: Listening) -> None:
    world = listening.world
    made = [signed(world, "registry.example.com/app", Digest.of(bytes([n]))) for n in range(3)]
    world.journal.set_state(0, AttachmentState.FAILED)
    world.journal.set_state(1, AttachmentState.FAILED)
    listed = shell("outbox", "list", "--state", "parked", role=Role.ADMIN)
    assert listed.out.count("registry-refused") == 2
    assert len(shell("outbox", "list", "--json", role=Role.AUDITOR).json) == 3
    one = shell("outbox", "retry", f"att_{made[0].id}", role=Role.ADMIN)
    assert one.out == f"att_{made[0].id}: pending\n"
    several = shell("outbox", "retry", f"att_{made[0].id}", "--json", role=Role.ADMIN)
    assert [status["state"] for status in several.json] == ["pending"]
    assert shell("outbox", "retry", role=Role.ADMIN).out == "1 parked orders are due now\n"
    assert shell("outbox", "retry", "--json", role=Role.ADMIN).json == {"retried": 0}
    assert shell("outbox", "retry", "att_none", role=Role.ADMIN).code == 2


def test_slots_are_shown_to_custodians(shell: Shell) -> None:
    listed = shell("slots", "list", role=Role.CUSTODIAN)
    assert listed.out.splitlines()[1].split()[:3] == ["test", "-", "ready"]
    assert shell("slots", "list", "--json", role=Role.CUSTODIAN).json[0]["token"] == "test"
    assert shell("slots", "login", "test", role=Role.CUSTODIAN).out == "test: ready\n"
    login = shell("slots", "login", "test", "--json", role=Role.CUSTODIAN)
    assert login.json["state"] == "ready"
    assert shell("slots", "list", role=Role.BUILDER).code == 3
    shown = shell("slots", "show", "test", role=Role.CUSTODIAN)
    assert "serial:      0001" in shown.out
    assert shell("slots", "show", "test", "--json", role=Role.CUSTODIAN).json[0]["token"] == "test"
    assert shell("slots", "show", "none", role=Role.CUSTODIAN).code == 2
    listed = shell("slots", "mechanisms", "test", role=Role.CUSTODIAN)
    assert listed.out.splitlines()[1].split() == ["ECDSA", "112-521", "sign", "verify"]
    told = shell("slots", "mechanisms", "test", "--json", role=Role.CUSTODIAN)
    assert told.json[0]["flags"] == ["sign", "verify"]
    assert shell("slots", "mechanisms", "none", role=Role.CUSTODIAN).code == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ("--skip", "no-such-check"),
        ("--label", "x"),
        ("--module", "/x.so"),
        ("--module", "/x.so", "--label", "x"),
        ("token", "--module", "/x.so", "--label", "x", "--pin-file", "/p"),
    ],
)
def test_a_check_of_slots_that_names_no_token_is_a_usage_error(
    shell: Shell, wrong: tuple[str, ...]
) -> None:
    assert shell("slots", "check", *wrong, role=None).code == 2


@pytest.mark.parametrize("kind", list(every_error()), ids=lambda kind: kind.code)
def test_every_code_is_explained(shell: Shell, kind: type) -> None:
    explained = shell("explain", kind.code, role=None)
    assert explained.code == 0
    assert kind.cause in explained.out
    assert kind.cure in explained.out
    assert shell("explain", kind.code, "--json", role=None).json["cure"] == kind.cure


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_every_reason_is_explained(shell: Shell, code: str) -> None:
    explained = shell("explain", code, role=None)
    assert explained.code == 0
    assert MEANINGS[code].cause in explained.out
    assert MEANINGS[code].cure in explained.out
    assert shell("explain", code, "--json", role=None).json["title"] == MEANINGS[code].title


def test_all_codes_are_listed_and_a_misspelt_one_is_guessed(shell: Shell) -> None:
    codes = {kind.code for kind in every_error()} | MEANINGS.keys()
    assert {page["code"] for page in shell("explain", "--json").json} == codes
    assert all(code in shell("explain").out for code in codes)
    misspelt = shell("explain", "forbiden")
    assert (misspelt.code, "forbidden" in misspelt.err) == (2, True)


def test_the_description_of_the_api_is_printed(shell: Shell) -> None:
    committed = Path(__file__).parents[2] / "openapi.yaml"
    assert shell("openapi", role=None).out == committed.read_text(encoding="utf-8")


def test_maintenance_is_turned_on_and_off_by_admins(shell: Shell) -> None:
    assert shell("maintenance", "show").out == "off\n"
    turned = shell("maintenance", "on", "--reason", "a new HSM", role=Role.ADMIN)
    assert turned.code == 0
    assert turned.out.startswith("on since ")
    assert turned.out.endswith(", by admin: a new HSM\n")
    assert shell("maintenance", "show", "--json").json["on"] is True
    assert shell("maintenance", "off").code == 3
    assert shell("maintenance", "off", role=Role.ADMIN).out == "off\n"
