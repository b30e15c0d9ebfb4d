from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.cli.attest import TYPES
from service.domain.signing import AttachmentState
from tests.support.edge import HEX, IMAGE, Listening
from tests.support.predicates import SLSA, provenance

Shell = Callable[..., Any]
OTHER = IMAGE.replace("/app@", "/other@")
FAILS = "registry.example.com/fail/{}@sha256:" + HEX


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "provenance.json"
    path.write_text(json.dumps(provenance()))
    return str(path)


def test_several_images_are_attested_in_one_request(
    shell: Shell, listening: Listening, file: str
) -> None:
    ended = shell("attest", IMAGE, OTHER, "--type", "slsaprovenance1", "--predicate", file)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"attested  {image} as {SLSA} by release v1: attachment attached"
        for image in (IMAGE, OTHER)
    ]
    [request] = listening.world.attesting.requests
    assert [one.unverified_reference for one in request.attestations] == [IMAGE, OTHER]
    assert [one.unverified_predicate for one in request.attestations] == [provenance()] * 2


def test_every_option_reaches_the_service_and_the_predicate_may_come_by_standard_input(
    shell: Shell, listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Piped:
        buffer = io.BytesIO(b'{"passed": true}')

    monkeypatch.setattr("sys.stdin", Piped())
    ended = shell(
        *("attest", IMAGE, "--type", "https://example.com/tests", "--predicate", "-"),
        *("--key", "release", "--id", "42", "--no-attach", "--force", "--json"),
    )
    assert ended.code == 0, ended.err
    [item] = ended.json["results"]
    [made] = item["signatures"]
    assert (item["id"], made["attachment"]["state"]) == ("42", "none")
    assert made["predicate_type"] == "https://example.com/tests"
    [request] = listening.world.attesting.requests
    assert (request.key, request.attach, request.force) == ("release", False, True)
    assert request.attestations[0].unverified_predicate == {"passed": True}


@pytest.mark.parametrize("name", TYPES)
def test_cosigns_names_stand_for_its_types(
    shell: Shell, listening: Listening, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "predicate.json"
    path.write_text("{}")
    shell("attest", IMAGE, "--type", name, "--predicate", str(path))
    [request] = listening.world.attesting.requests
    assert request.attestations[0].predicate_type.uri == TYPES[name]


@pytest.mark.parametrize("content", ["", "[]", "1", "{", '{"a": 1, "a": 2}', '{"a": NaN}'])
def test_what_is_no_json_object_is_refused_before_the_service_is_asked(
    shell: Shell, listening: Listening, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "predicate.json"
    path.write_text(content)
    ended = shell("attest", IMAGE, "--type", "custom", "--predicate", str(path))
    assert ended.code == 2
    assert "the predicate is not" in ended.err
    assert listening.world.attesting.requests == []


def test_an_unknown_name_of_a_type_and_a_missing_file_are_usage(shell: Shell, file: str) -> None:
    unknown = shell("attest", IMAGE, "--type", "sbom", "--predicate", file)
    assert unknown.code == 2
    assert "cyclonedx" in unknown.err
    assert shell("attest", IMAGE, "--type", "custom", "--predicate", "/nowhere").code == 2
    assert shell("attest", IMAGE, "--type", "custom").code == 2
    ids = shell("attest", IMAGE, OTHER, "--id", "1", "--type", "custom", "--predicate", file)
    assert ids.code == 2


@pytest.mark.parametrize(
    ("codes", "exit_code"),
    [
        (["hsm-unavailable"], 4),
        (["policy-denied"], 3),
        (["image-not-found"], 2),
        (["internal"], 5),
        (["hsm-unavailable", "policy-denied"], 3),
    ],
)
def test_the_exit_code_tells_of_the_worst_item(
    shell: Shell, file: str, codes: list[str], exit_code: int
) -> None:
    images = [FAILS.format(code) for code in codes]
    ended = shell("attest", IMAGE, *images, "--type", "slsaprovenance1", "--predicate", file)
    assert ended.code == exit_code
    assert ended.out.startswith(f"attested  {IMAGE}")
    for image in images:
        assert f"failed    {image}: asked to fail" in ended.err


def test_a_predicate_that_is_not_what_its_type_says_is_usage(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "predicate.json"
    path.write_text("{}")
    ended = shell("attest", IMAGE, "--type", "vuln", "--predicate", str(path))
    assert ended.code == 2
    assert "predicate.scanner: Missing." in ended.err


def test_attachments_are_waited_for_as_long_as_is_wanted(
    shell: Shell, listening: Listening, file: str
) -> None:
    listening.world.signing.attachment_state = AttachmentState.PENDING
    words = ("attest", IMAGE, "--type", "slsaprovenance1", "--predicate", file)
    assert shell(*words).code == 0
    assert shell(*words, "--wait", "1ms").code == 4
