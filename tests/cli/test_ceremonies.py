"""Ceremonies and minutes at the command line, with more people than `sealwright dev` has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.domain.acts import ActKind
from service.domain.callers import Role
from service.domain.quorum import QuorumRules
from tests.support.ceremonies import rehearse
from tests.support.edge import Listening
from tests.support.operations import hire
from tests.support.ssh import make_key

Shell = Callable[..., Any]


@pytest.fixture
def written(listening: Listening, tmp_path: Path) -> dict[str, str]:
    """What participants write into the paper: credentials and SSH keys of three custodians."""
    people = tmp_path / "people"
    people.mkdir()
    auditor, first = people / "auditor", people / "custodian-1"
    auditor.write_text(listening.world.bearer[Role.AUDITOR])
    first.write_text(listening.world.bearer[Role.CUSTODIAN])
    paths = {"/media/auditor/token": str(auditor), "/media/custodian-1/token": str(first)}
    for number, name in ((2, "Grace"), (3, "Edith")):
        key, token = make_key(people), people / name
        token.write_text(hire(listening.world, name.lower(), name, ssh_public_key=key.line))
        paths[f"/media/custodian-{number}/token"] = str(token)
        paths[f"/media/custodian-{number}/id_ed25519"] = str(key.private)
    return paths


def test_three_people_generate_a_key_with_signatures_by_the_printed_script(
    shell: Shell, listening: Listening, written: dict[str, str], tmp_path: Path
) -> None:
    listening.world.policy.quorum = QuorumRules({ActKind.GENERATE: 3}, signed=True)
    paper = shell("keys", "ceremony", "generate", "root-key", role=Role.CUSTODIAN).out
    assert paper.startswith("# Generation of the key root-key\n")
    assert "| Custodian 3 |" in paper
    place = tmp_path / "room"
    place.mkdir()
    steps = rehearse(paper, place, written)
    assert [step for step in steps if step.code != step.expected_code] == []
    minutes = json.loads((place / "root-key-minutes.json").read_text())
    [approval] = minutes["approvals"]
    assert [vote["person"] for vote in approval["approvals"]] == ["Grace", "Edith"]
    page = (place / "root-key-minutes.html").read_text()
    assert page.count("SSH signature holds") == 2
    assert minutes["key"]["versions"][0]["fingerprint"] in page


def test_the_page_to_be_printed_needs_nothing_from_elsewhere(
    shell: Shell, listening: Listening, tmp_path: Path
) -> None:
    listening.world.policy.quorum = QuorumRules({ActKind.GENERATE: 2})
    file = tmp_path / "rotate.html"
    words = ("keys", "ceremony", "rotate", "release", "--html", "--output", str(file))
    assert shell(*words, role=Role.AUDITOR).code == 0
    page = file.read_text()
    fingerprint = listening.world.catalog.keys["release"].versions[0].fingerprint
    assert fingerprint in page
    assert "sealwright keys rotate release" in page
    assert "APPROVAL=$(SEALWRIGHT_TOKEN_FILE=&#34;$CUSTODIAN_2&#34;" in page
    for foreign in ("<script", "src=", "href=", "url(", "http-equiv"):
        assert foreign not in page


@pytest.mark.parametrize(
    "words",
    [
        ("destroy", "release"),
        ("destroy", "release", "1"),  # it is active
        ("destroy", "release", "7"),
        ("generate", "new", "1"),
        ("rotate", "release", "--purpose", "image"),
        ("destroy", "release", "1", "--token", "test"),
    ],
)
def test_a_ceremony_that_could_not_be_held_is_not_printed(
    shell: Shell, words: tuple[str, ...]
) -> None:
    refused = shell("keys", "ceremony", *words, role=Role.CUSTODIAN)
    assert (refused.code, refused.out) == (2, "")
    assert shell("keys", "ceremony", "rotate", "release", role=Role.BUILDER).code == 3


def test_what_others_have_written_is_text_in_the_minutes(
    shell: Shell, listening: Listening, tmp_path: Path
) -> None:
    listening.world.policy.quorum = QuorumRules({ActKind.RETIRE: 2})
    script = "<script>alert(1)</script>"
    asked = ("keys", "retire", "release", "1", "--reason", script)
    assert shell(*asked, role=Role.CUSTODIAN).code == 4
    token = hire(listening.world, "mallory", script)
    approval_id = shell("approvals", "list", "--ids", role=Role.AUDITOR).out.strip()
    shell("approvals", "reject", approval_id, "--reason", script, role=Role.CUSTODIAN, token=token)
    file = tmp_path / "minutes.html"
    words = ("keys", "minutes", "release", "--output", str(file))
    assert shell(*words, role=Role.AUDITOR).code == 0
    page = file.read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3
    assert "Rejected by" in page
    assert shell("keys", "minutes", "release", role=Role.BUILDER).code == 3
    assert shell("keys", "minutes", "none", role=Role.AUDITOR).code == 2
    nowhere = ("keys", "minutes", "release", "--output", str(tmp_path / "no" / "file"))
    assert shell(*nowhere, role=Role.AUDITOR).code == 2


def test_a_signature_that_does_not_hold_is_told_in_the_minutes(
    shell: Shell, listening: Listening, written: dict[str, str], tmp_path: Path
) -> None:
    listening.world.policy.quorum = QuorumRules({ActKind.RETIRE: 2})
    shell("keys", "retire", "release", "1", role=Role.CUSTODIAN)
    approval_id = shell("approvals", "list", "--ids", role=Role.AUDITOR).out.strip()
    grace = Path(written["/media/custodian-2/token"]).read_text()
    key = written["/media/custodian-2/id_ed25519"]
    words = ("approvals", "approve", approval_id, "--ssh-key", key)
    assert shell(*words, role=Role.CUSTODIAN, token=grace).code == 0
    held = listening.world.approvals._approvals[approval_id]
    object.__setattr__(held, "document", held.document + b" ")
    page = shell("keys", "minutes", "release", role=Role.AUDITOR).out
    assert "SSH signature does not hold" in page
    assert "SSH signature holds" not in page
