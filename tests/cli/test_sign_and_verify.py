from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from service.cli import awaiting
from service.cli import results as results_module
from service.domain.callers import Role
from service.domain.errors import ForbiddenError, HSMUnavailableError
from service.domain.signing import AttachmentState
from tests.support.edge import HEX, IMAGE, Listening
from tests.support.jobs import finish_jobs

Shell = Callable[..., Any]
FAILS = "registry.example.com/fail/{}@sha256:" + HEX
VERDICT = "registry.example.com/verdict/{}@sha256:" + HEX


def test_a_signed_image_ends_in_zero_and_one_line(shell: Shell) -> None:
    ended = shell("sign", IMAGE)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"signed  {IMAGE} as cosign by release v1: attachment attached\n"


def test_every_option_reaches_the_service(shell: Shell, listening: Listening) -> None:
    ended = shell(
        *("sign", IMAGE, "--key", "release", "--format", "cosign", "--id", "42"),
        *("--annotation", "a=b=c", "--no-attach", "--force", "--idempotency-key", "k", "--json"),
    )
    assert ended.code == 0
    [item] = ended.json["results"]
    assert (item["id"], item["signatures"][0]["attachment"]["state"]) == ("42", "none")
    assert item["signatures"][0]["artifact"]["tag"].endswith(".sig")
    [made] = listening.world.journal.signatures
    assert made.statement.annotations == (("a", "b=c"),)


@pytest.mark.parametrize(
    ("codes", "exit_code"),
    [
        (["hsm-unavailable"], 4),
        (["policy-denied"], 3),
        (["image-not-found"], 2),
        (["tag-digest-mismatch"], 1),
        (["internal"], 5),
        (["hsm-unavailable", "policy-denied"], 3),
        (["hsm-unavailable", "image-not-found"], 2),
    ],
)
def test_the_exit_code_tells_of_the_worst_item(
    shell: Shell, codes: list[str], exit_code: int
) -> None:
    ended = shell("sign", IMAGE, *[FAILS.format(code) for code in codes])
    assert ended.code == exit_code
    assert ended.out.startswith(f"signed  {IMAGE}")
    for code in codes:
        assert f"asked to fail with {code} ({code})" in ended.err


def test_a_single_failure_says_what_why_and_cure_with_the_request_id(shell: Shell) -> None:
    ended = shell("sign", FAILS.format("policy-denied"))
    assert (ended.code, ended.out) == (3, "")
    what, why, cure, request_id = ended.err.splitlines()
    assert what == "error: The signing policy refuses this (policy-denied)"
    assert why == "  why: asked to fail with policy-denied"
    assert cure.startswith(" cure: Read the reasons")
    assert len(request_id.removeprefix("   id: ")) == 32


def test_without_a_credential_the_exit_code_is_three(shell: Shell) -> None:
    assert shell("sign", IMAGE, role=None).code == 3
    assert shell("sign", IMAGE, role=Role.AUDITOR).code == 3


def test_a_passing_failure_is_retried_before_anybody_is_told(
    shell: Shell, listening: Listening
) -> None:
    listening.world.signing.whole_failures = [HSMUnavailableError(), HSMUnavailableError()]
    assert shell("sign", IMAGE).code == 0


def test_a_pending_attachment_is_a_success_unless_waiting_was_asked_for(
    shell: Shell, listening: Listening
) -> None:
    listening.world.signing.attachment_state = AttachmentState.PENDING
    assert shell("sign", IMAGE).code == 0
    ended = shell("sign", IMAGE, "--wait", "1ms")
    assert (ended.code, "attachment pending" in ended.out) == (4, True)


def test_an_attachment_that_was_parked_is_not_a_success(shell: Shell, listening: Listening) -> None:
    listening.world.signing.attachment_state = AttachmentState.FAILED
    assert shell("sign", IMAGE).code == 4


def test_waiting_ends_as_soon_as_the_attachment_is_there(
    shell: Shell, listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "POLL_SECONDS", 0.001)
    world = listening.world
    world.signing.attachment_state = AttachmentState.PENDING
    asked = threading.Event()
    get = world.journal.get

    def attached_at_the_second_look(signature_id: str) -> object:
        if asked.is_set():
            world.journal.set_state(0, AttachmentState.ATTACHED)
        asked.set()
        return get(signature_id)

    monkeypatch.setattr(world.journal, "get", attached_at_the_second_look)
    ended = shell("sign", IMAGE, "--wait", "1m", "--json")
    assert ended.code == 0
    assert ended.json["results"][0]["signatures"][0]["attachment"]["state"] == "attached"


@pytest.mark.parametrize(
    "arguments",
    [
        ["sign"],
        ["sign", IMAGE, "--id", "1", "--id", "2"],
        ["sign", IMAGE, "--annotation", "novalue"],
        ["sign", IMAGE, "--wait", "soon"],
        ["sign", IMAGE, "--no-such-option"],
        ["verify"],
        ["no-such-command"],
        ["sign", "not an image"],
    ],
)
def test_what_was_typed_wrong_ends_in_two(shell: Shell, arguments: list[str]) -> None:
    ended = shell(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err


@pytest.mark.parametrize(
    ("names", "exit_code"),
    [
        (["verified"], 0),
        (["verified", "verified"], 0),
        (["unsigned"], 1),
        (["rejected"], 1),
        (["unknown"], 4),
        (["silent", "verified"], 4),
        (["unknown", "unsigned"], 1),
        (["unknown", "rejected", "verified"], 1),
    ],
)
def test_the_exit_code_of_verify_is_the_verdict(
    shell: Shell, names: list[str], exit_code: int
) -> None:
    ended = shell("verify", *[VERDICT.format(name) for name in names])
    assert ended.code == exit_code
    for name in names:
        verdict = "unknown" if name == "silent" else name
        assert f"{verdict:<8}  {VERDICT.format(name)}" in ended.out


def test_more_images_than_one_request_takes_are_verified_in_several(shell: Shell) -> None:
    images = [f"registry.example.com/verdict/verified:{n}" for n in range(205)]
    ended = shell("verify", "--json", *images)
    assert ended.code == 0
    assert [result["reference"] for result in ended.json["results"]] == images


def test_what_others_wrote_cannot_steer_the_terminal(shell: Shell) -> None:
    ended = shell("verify", "registry.example.com/\x1b[2Jevil")
    assert "\x1b" not in ended.out + ended.err
    assert "\x1b" not in shell("verify", "--json", "registry.example.com/\x1b[2Jevil").out


def test_an_index_of_which_one_manifest_is_unsigned_is_no_yes(shell: Shell) -> None:
    index = VERDICT.format("index")
    assert shell("verify", index).code == 0
    ended = shell("verify", "--recursive", index)
    assert ended.code == 1
    assert f"unsigned  {index}  (1 of 2 manifests verified)\n" in ended.out
    assert "linux/arm64" in ended.out
    assert "cure: sign again" in ended.out


def test_recursion_is_asked_of_the_service(shell: Shell, listening: Listening) -> None:
    assert shell("sign", "--recursive", IMAGE).code == 0
    assert listening.world.signing.requests[-1].recursive


def test_a_job_is_named_at_once_and_shown_by_its_id(shell: Shell, listening: Listening) -> None:
    ended = shell("sign", IMAGE, "--async")
    assert ended.code == 0
    [job] = listening.world.jobs.jobs.values()
    assert ended.out == f"queued  {job.id}: 0 of 1\n"
    assert shell("jobs", "show", job.id).out == ended.out
    assert shell("jobs", "show", job.id, "--wait", "1ms").code == 4
    finish_jobs(listening.world)
    shown = shell("jobs", "show", job.id)
    assert (shown.code, shown.out.startswith(f"signed  {IMAGE}")) == (0, True)
    assert shell("jobs", "show", job.id, "--json").json["state"] == "done"
    assert shell("jobs", "show", "job_unknown").code == 2


def test_whoever_waits_for_a_job_gets_its_results(
    shell: Shell, listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaiting, "POLL_SECONDS", 0.001)

    def finish() -> None:
        while not listening.world.jobs.jobs:
            time.sleep(0.01)
        finish_jobs(listening.world)

    finished = threading.Thread(target=finish, daemon=True)
    finished.start()
    ended = shell("sign", IMAGE, FAILS.format("policy-denied"), "--async", "--wait", "1m")
    finished.join()
    assert ended.code == 3
    assert ended.out.startswith(f"signed  {IMAGE}")


def test_a_job_that_failed_ends_as_its_error_says(shell: Shell, listening: Listening) -> None:
    job_id = shell("sign", IMAGE, "--async", "--json").json["id"]
    job = listening.world.jobs.claim(owner="own", seconds=60)
    assert job is not None
    listening.world.jobs.fail(job, ForbiddenError("revoked"))
    ended = shell("jobs", "show", job_id, "--wait", "1s")
    assert (ended.code, ended.err) == (3, f"failed  {job_id}: revoked (forbidden)\n")
