"""What a service answers is pushed only where it was asked about, and only if it fits."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from service.cli.push import OwnLogin
from service.client import UnexpectedAnswerError
from service.domain.digests import Digest
from service.domain.errors import AttachConflictError, RegistryUnavailableError, ServiceError
from service.domain.outbox import OrderKind
from service.domain.references import Repository
from service.domain.signing import LookasideFile, SignatureLayer
from service.formats.artifacts import artifact_of
from service.formats.bundle import signature_referrer
from service.operations.fanout import Fanout
from service.operations.push_artifacts import (
    ATTEMPTS,
    PUSH_SECONDS,
    Push,
    PushArtifacts,
    kind_of,
)
from service.ports.registry import Attached
from service.web import dump
from tests.support.statements import MOMENT, a_subject

DIGEST, CHILD, OTHER = (Digest(one * 64) for one in "abc")
HOST = "registry.example.com/team/app"
IMAGE = f"{HOST}@{DIGEST}"
REPOSITORY = Repository("registry.example.com", "team/app")


def layer(text: str = "A") -> SignatureLayer:
    annotations = (("dev.cosignproject.cosign/signature", text),)
    return SignatureLayer("application/json", b"payload", annotations)


def made(digest: Digest, content: Any, form: str) -> dict[str, Any]:
    artifact = dump.artifact(artifact_of(content, a_subject(digest)))
    return {"id": f"sig_{form}", "format": form, "artifact": artifact, "attachment": {}}


def both(digest: Digest) -> list[dict[str, Any]]:
    bundle = signature_referrer(b"{}", at=MOMENT, subject=a_subject(digest))
    return [made(digest, layer(), "cosign"), made(digest, bundle, "bundle")]


ANSWER: list[dict[str, Any]] = [
    {
        "reference": IMAGE,
        "digest": str(DIGEST),
        "signatures": both(DIGEST),
        "children": [{"digest": str(CHILD), "signatures": both(CHILD), "children": []}],
    }
]


@dataclass
class Attacher:
    """Takes everything, after as many failures as are asked for; `seen` is what it then shows."""

    errors: list[ServiceError] = field(default_factory=list)
    seen: list[tuple[str, bool]] = field(default_factory=list)
    calls: list[tuple[Repository, Digest, int]] = field(default_factory=list)

    def attach(
        self, repository: Repository, subject: Digest, contents: Sequence[Any], *, seconds: float
    ) -> Attached:
        self.calls.append((repository, subject, len(contents)))
        if self.errors:
            raise self.errors.pop(0)
        seen, added = self.seen.pop(0) if self.seen else ("same", False)
        return Attached((OTHER,) * len(contents), "application/json", seen, added=added)


@dataclass
class Time:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def pushing(attacher: Attacher, time: Time | None = None) -> PushArtifacts:
    clock = time or Time()
    attachers = {OrderKind.ATTACH: attacher, OrderKind.REFER: attacher}
    return PushArtifacts(cast("Any", attachers), Fanout(1), cast("Any", clock), clock.sleep)


def test_each_list_is_written_once_with_all_that_is_to_be_in_it() -> None:
    attacher, results = Attacher(), copy.deepcopy(ANSWER)
    own = OwnLogin(cast("Any", None), pushing(attacher))
    assert own.attach([IMAGE], results) == []
    assert attacher.calls == [(REPOSITORY, digest, 1) for digest in (DIGEST, DIGEST, CHILD, CHILD)]
    every = [*results[0]["signatures"], *results[0]["children"][0]["signatures"]]
    assert {one["attachment"]["state"] for one in every} == {"attached"}
    assert {one["attachment"]["digest"] for one in every} == {str(OTHER)}


def _other_digest(results: list[dict[str, Any]]) -> None:
    results[0]["digest"] = str(OTHER)
    results[0]["signatures"] = both(OTHER)


def _other_subject(results: list[dict[str, Any]]) -> None:
    results[0]["signatures"] = both(OTHER)


def _one_more(results: list[dict[str, Any]]) -> None:
    results.append(copy.deepcopy(results[0]))


def _a_file(results: list[dict[str, Any]]) -> None:
    results[0]["signatures"] = [made(DIGEST, LookasideFile(b"x"), "openpgp")]


def _no_artifact(results: list[dict[str, Any]]) -> None:
    del results[0]["signatures"][0]["artifact"]


def _another_tag(results: list[dict[str, Any]]) -> None:
    results[0]["signatures"][0]["artifact"]["tag"] = "latest"


def _bad_base64(results: list[dict[str, Any]]) -> None:
    content = base64.b64encode(b"another payload").decode()
    results[0]["signatures"][0]["artifact"]["blobs"][0]["content"] = content


@pytest.mark.parametrize(
    "spoil",
    [
        _other_digest,
        _other_subject,
        _one_more,
        _a_file,
        _no_artifact,
        _another_tag,
        _bad_base64,
        lambda results: results[0].update(digest="latest"),
    ],
)
def test_an_answer_that_does_not_fit_is_pushed_nowhere(
    spoil: Callable[[list[dict[str, Any]]], None],
) -> None:
    attacher, results = Attacher(), copy.deepcopy(ANSWER)
    spoil(results)
    with pytest.raises(UnexpectedAnswerError):
        OwnLogin(cast("Any", None), pushing(attacher)).attach([IMAGE], results)
    assert attacher.calls == []


def test_what_failed_is_told_with_each_signature() -> None:
    attacher, results = Attacher(), copy.deepcopy(ANSWER)
    del results[0]["signatures"][1], results[0]["children"][0]
    attacher.errors = [RegistryUnavailableError("503")] * ATTEMPTS
    failures = OwnLogin(cast("Any", None), pushing(attacher)).attach([IMAGE], results)
    assert [type(one) for one in failures] == [RegistryUnavailableError]
    assert len(attacher.calls) == ATTEMPTS
    attachment = results[0]["signatures"][0]["attachment"]
    assert attachment["state"] == "failed"
    assert attachment["error"] == {"code": "registry-unavailable", "detail": "503"}


WANTED = Push(OrderKind.ATTACH, REPOSITORY, DIGEST, (layer(),))


def test_a_list_is_looked_at_until_it_has_lasted() -> None:
    time = Time()
    attacher = Attacher(seen=[("1", True), ("2", True), ("3", False), ("3", False)])
    [result] = pushing(attacher, time)([WANTED])
    assert isinstance(result, Attached)
    # Written; overwritten and put back; somebody else's in it too; quiet.
    assert (result.seen, len(attacher.calls)) == ("3", 4)
    assert time.now == 3 * 2.0


def test_what_was_there_already_costs_no_wait() -> None:
    time, attacher = Time(), Attacher(seen=[("1", False)])
    [result] = pushing(attacher, time)([WANTED])
    assert isinstance(result, Attached)
    assert (time.now, len(attacher.calls)) == (0.0, 1)


def test_a_list_that_never_comes_to_rest_is_a_failure_in_the_end() -> None:
    time = Time()
    attacher = Attacher(seen=[(str(number), True) for number in range(100)])
    [result] = pushing(attacher, time)([WANTED])
    assert isinstance(result, AttachConflictError)
    assert time.now <= PUSH_SECONDS


def test_only_what_a_registry_takes_has_a_list() -> None:
    assert kind_of(layer()) is OrderKind.ATTACH
    assert kind_of(LookasideFile(b"x")) is None
