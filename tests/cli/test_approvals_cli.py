"""`sealwright approvals`, `policy` and custodians' credentials, against a service that listens."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.domain.acts import ActKind
from service.domain.callers import Role
from service.domain.quorum import QuorumRules
from tests.support.edge import Listening
from tests.support.operations import hire
from tests.support.ssh import SSHKey, make_key

Shell = Callable[..., Any]


@pytest.fixture
def key(tmp_path: Path) -> SSHKey:
    directory = tmp_path / "ssh"
    directory.mkdir()
    return make_key(directory)


@pytest.fixture
def grace(listening: Listening, key: SSHKey) -> dict[str, Any]:
    """What makes a command Grace's, who is a custodian with an SSH key."""
    token = hire(listening.world, "grace", "Grace", ssh_public_key=key.line)
    return {"role": Role.CUSTODIAN, "token": token}


@pytest.fixture
def asked(shell: Shell, listening: Listening, grace: dict[str, Any]) -> str:
    listening.world.policy.quorum = QuorumRules({ActKind.RETIRE: 2})
    ended = shell("keys", "retire", "release", "1", "--reason", "old", role=Role.CUSTODIAN)
    assert ended.code == 4
    assert ended.out.startswith("pending: retire release/1 needs 1 more person\n")
    approval_id: str = shell("approvals", "list", "--ids", **grace).out.strip()
    assert f"sealwright approvals approve {approval_id}" in ended.out
    return approval_id


def test_a_custodian_approves_what_another_asked_for(
    shell: Shell, asked: str, grace: dict[str, Any]
) -> None:
    listed = shell("approvals", "list", "--state", "pending", "--key", "release", **grace)
    assert listed.out.splitlines()[1].split()[:4] == [asked, "pending", "retire", "release/1"]
    shown = shell("approvals", "show", asked, role=Role.AUDITOR)
    assert "asked by custodian@example.com (custodian, custodian)" in shown.out
    assert 'reason: "old"' in shown.out
    assert "missing: 1 of 2 people" in shown.out
    own = shell("approvals", "approve", asked, role=Role.CUSTODIAN)
    assert (own.code, "does not decide on it" in own.err) == (3, True)
    done = shell("approvals", "approve", asked, "--reason", "fine", **grace)
    assert done.code == 0
    assert f"{asked}: executed" in done.out
    assert "approved by Grace (grace, custodian)" in done.out
    assert ": fine" in done.out
    assert "version 1: retired" in shell("keys", "show", "release").out
    assert shell("approvals", "approve", asked, **grace).code == 2
    assert shell("approvals", "list", "--json", **grace).json[0]["state"] == "executed"


def test_a_custodian_rejects_what_another_asked_for(
    shell: Shell, asked: str, grace: dict[str, Any]
) -> None:
    done = shell("approvals", "reject", asked, "--reason", "in use", **grace)
    assert "rejected by Grace" in done.out
    assert shell("approvals", "show", asked, "--json", **grace).json["state"] == "rejected"


def test_an_approval_is_signed_by_ssh_keygen_and_checked_by_it_offline(
    shell: Shell, asked: str, grace: dict[str, Any], key: SSHKey, tmp_path: Path
) -> None:
    done = shell("approvals", "approve", asked, "--ssh-key", str(key.private), "--json", **grace)
    assert (done.code, done.json["state"]) == (0, "executed")
    exported = tmp_path / "exported"
    assert shell("approvals", "export", asked, str(exported), role=Role.AUDITOR).code == 0
    document = (exported / "document").read_bytes()
    assert base64.b64decode(done.json["document"]) == document
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-I", "grace"]
    command += ["-n", "sealwright-approval@sealwright.dev", "-s", "grace.sig"]
    for content, code in ((document, 0), (document + b"\n", 255)):
        checked = subprocess.run(
            command, cwd=exported, input=content, capture_output=True, check=False
        )
        assert checked.returncode == code, checked.stderr


def test_a_signature_made_elsewhere_is_handed_in(
    shell: Shell, asked: str, grace: dict[str, Any], key: SSHKey, tmp_path: Path
) -> None:
    document = shell("approvals", "document", asked, **grace).out
    assert '"act": "retire"' in document
    file = tmp_path / "document.sig"
    file.write_text(key.sign(document.encode(), "sealwright-rejection@sealwright.dev"))
    wrong = shell("approvals", "approve", asked, "--signature", str(file), **grace)
    assert (wrong.code, "namespace" in wrong.err) == (2, True)
    both = ("--signature", str(file), "--ssh-key", str(key.private))
    assert shell("approvals", "approve", asked, *both, **grace).code == 2
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff")
    assert shell("approvals", "approve", asked, "--signature", str(binary), **grace).code == 2
    done = shell("approvals", "reject", asked, "--signature", str(file), **grace)
    assert (done.code, ", signed" in done.out) == (0, True)


def test_ssh_keygen_that_fails_or_is_missing_is_told(
    shell: Shell,
    asked: str,
    grace: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_key = tmp_path / "no-key"
    no_key.write_text("nothing")
    failed = shell("approvals", "approve", asked, "--ssh-key", str(no_key), **grace)
    assert (failed.code, "did not sign" in failed.err) == (2, True)
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = shell("approvals", "approve", asked, "--ssh-key", str(no_key), **grace)
    assert (missing.code, "--signature" in missing.err) == (2, True)


def test_a_document_that_says_something_else_is_not_signed(
    shell: Shell, listening: Listening, asked: str, grace: dict[str, Any], key: SSHKey
) -> None:
    held = listening.world.approvals._approvals[asked]
    forged = held.document.replace(b"retire", b"destroy")
    object.__setattr__(held, "document", forged)
    refused = shell("approvals", "approve", asked, "--ssh-key", str(key.private), **grace)
    assert (refused.code, "do not sign" in refused.err) == (2, True)


def test_a_custodian_is_made_by_approvals_and_its_token_is_kept_meanwhile(
    shell: Shell, listening: Listening, grace: dict[str, Any], tmp_path: Path
) -> None:
    listening.world.policy.quorum = QuorumRules({ActKind.RETIRE: 2})
    file = tmp_path / "edith.token"
    words = ("credentials", "create", "edith", "--person", "Edith", "--role", "custodian")
    made = shell(*words, "--output", str(file), role=Role.ADMIN)
    assert made.code == 4
    assert "needs 2 more people" in made.out
    assert f"token in {file}" in made.out
    edith = {"role": Role.CUSTODIAN, "token": file.read_text()}
    assert shell("slots", "list", **edith).code == 3
    approval_id = shell("approvals", "list", "--ids", **grace).out.strip()
    first = shell("approvals", "approve", approval_id, role=Role.CUSTODIAN)
    assert (first.code, "missing: 1 of 2 people" in first.out) == (0, True)
    assert shell("approvals", "approve", approval_id, **grace).code == 0
    assert shell("slots", "list", **edith).code == 0
    as_json = shell("credentials", "create", "joan", *words[3:], "--json", role=Role.ADMIN)
    assert (as_json.code, as_json.json["state"]) == (4, "pending")
    assert as_json.json["token"]


def test_credentials_are_changed(shell: Shell, listening: Listening, key: SSHKey) -> None:
    change = ("credentials", "change", "custodian")
    public = str(key.private.with_suffix(".pub"))
    changed = shell(*change, "--ssh-public-key", public, role=Role.ADMIN)
    assert (changed.code, changed.out) == (0, "custodian: changed\n")
    held = listening.world.book.credentials["custodian"]
    assert held.ssh_public_key is not None
    shell(*change, "--no-ssh-key", "--person", "Ada", "--expires", "90d", role=Role.ADMIN)
    held = listening.world.book.credentials["custodian"]
    assert (held.ssh_public_key, held.caller.person) == (None, "Ada")
    assert held.expires_at is not None
    shell(*change, "--never-expires", role=Role.ADMIN)
    assert listening.world.book.credentials["custodian"].expires_at is None
    for wrong in ((), ("--expires", "1d", "--never-expires")):
        assert shell(*change, *wrong, role=Role.ADMIN).code == 2
    assert shell(*change, "--ssh-public-key", str(key.private), role=Role.ADMIN).code == 2


def test_rules_are_shown_and_loosened(
    shell: Shell, listening: Listening, grace: dict[str, Any]
) -> None:
    listening.world.policy.quorum = QuorumRules({ActKind.RETIRE: 2})
    shown = shell("policy", "show", **grace).out
    assert ["retire", "2", "2"] in [line.split() for line in shown.splitlines()]
    assert "just as many custodians" in shown
    assert shell("policy", "loosen", **grace).code == 2
    listening.world.policy.quorum = QuorumRules()
    assert "no effect: retire: 1 instead of 2" in shell("policy", "show", **grace).out
    assert shell("policy", "loosen", role=Role.CUSTODIAN).code == 4
    approval_id = shell("approvals", "list", "--ids", **grace).out.strip()
    assert shell("approvals", "approve", approval_id, **grace).code == 0
    assert shell("policy", "show", "--json", **grace).json["in_force"]["people"] == {}
