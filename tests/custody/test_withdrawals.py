"""The signed list: verified by openssl, numbered, signed anew when it says more, never silent."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.bootstrap.api import Service
from service.domain.errors import HSMUnavailableError, LeaseLostError, LogKeyMissingError
from service.domain.keys import KeyState, Purpose
from service.domain.lifecycle import Move
from service.domain.public_keys import public_key
from service.domain.withdrawals import WithdrawalList
from service.operations import Withdrawals
from service.web import create_app
from tests.support.services import CUSTODIAN, Services, make_key, move, rotate
from tests.support.softhsm import SoftHSM, TokenFixture

START = datetime(2026, 5, 1, tzinfo=UTC)


@dataclass
class HandClock:
    """Turned by hand."""

    moment: datetime = START
    ticks: float = 0.0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        self.ticks += 1.0
        return self.ticks


@pytest.fixture
def service(services: Services, first: TokenFixture) -> Service:
    made = services(first)
    make_key(made, token=first.label)
    make_key(made, "log", token=first.label, purpose=Purpose.LOG)
    return made


def at(service: Service, clock: HandClock) -> Withdrawals:
    return replace(service.operations.withdrawals, clock=clock)


def items(issued: WithdrawalList) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(issued.payload)["items"]
    return found


def test_openssl_verifies_what_the_api_serves(service: Service, tmp_path: Path) -> None:
    rotate(service)
    moved = move(service, 1, KeyState.COMPROMISED, since=START, reason="laptop läuft weg")
    web = create_app(service.operations, version="1").test_client()
    answer = web.get("/v1/withdrawals")
    assert answer.status_code == 200
    body = answer.json
    envelope = body.pop("envelope")
    payload = base64.b64decode(envelope["payload"])
    assert json.loads(payload) == body
    assert body["items"] == [
        {
            "kind": "key-version",
            "key": "release",
            "version": 1,
            "fingerprint": moved.fingerprint,
            "since": "2026-05-01T00:00:00.000Z",
            "reason": "laptop läuft weg",
        }
    ]
    assert (body["sequence"], body["checkpoint"]) == (1, None)
    issued, until = (datetime.fromisoformat(body[n]) for n in ("issued", "valid_until"))
    assert until - issued == timedelta(days=7)
    assert envelope["payloadType"] == "application/vnd.sealwright.withdrawals.v1+json"
    (signature,) = envelope["signatures"]
    log = service.operations.keys.get("log").versions[0]
    assert signature["keyid"] == log.fingerprint
    # By hand from the DSSE specification, so that nothing of ours is believed.
    kind = envelope["payloadType"]
    message = b" ".join(
        [b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload]
    )
    (tmp_path / "log.pem").write_text(public_key(log.public_key).pem())
    (tmp_path / "signature").write_bytes(base64.b64decode(signature["sig"]))
    for name, content, code in (("pae", message, 0), ("other", message + b" ", 1)):
        (tmp_path / name).write_bytes(content)
        words = ["openssl", "dgst", "-sha256", "-verify", "log.pem", "-signature", "signature"]
        done = subprocess.run([*words, name], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == code


def test_a_list_stands_for_an_hour_unless_there_is_more_to_say(service: Service) -> None:
    clock = HandClock()
    withdrawals = at(service, clock)
    issued = withdrawals.current()
    assert (issued.sequence, items(issued)) == (1, [])
    clock.moment += timedelta(minutes=59)
    assert withdrawals.current() == issued
    clock.moment += timedelta(minutes=2)
    again = withdrawals.current()
    assert (again.sequence, again.issued_at, items(again)) == (2, clock.moment, [])
    move(service, 1, KeyState.COMPROMISED)
    more = withdrawals.current()
    assert (more.sequence, len(items(more))) == (3, 1)
    move(service, 1, KeyState.DESTROYED)
    assert withdrawals.current() == more


def test_without_a_log_key_there_is_no_list(services: Services, first: TokenFixture) -> None:
    service = services(first)
    with pytest.raises(LogKeyMissingError):
        service.operations.withdrawals.current()
    make_key(service, "log", token=first.label, purpose=Purpose.LOG)
    assert service.operations.withdrawals.current().sequence == 1
    service.operations.custody.move(CUSTODIAN, Move("log", 1, KeyState.COMPROMISED))
    with pytest.raises(LogKeyMissingError):
        service.operations.withdrawals.current()
    rotate(service, "log")
    issued = service.operations.withdrawals.current()
    assert (issued.version, [item["key"] for item in items(issued)]) == (2, ["log"])


def test_a_list_is_served_while_the_hsm_is_away_unless_it_would_be_silent(
    services: Services, service: Service, first: TokenFixture, softhsm: SoftHSM
) -> None:
    clock = HandClock()
    issued = at(service, clock).current()
    away = at(services(softhsm.token("custody third")), clock)
    clock.moment += timedelta(days=6)
    assert away.current() == issued
    service.store.leases._database.write(
        lambda c: c.exec_driver_sql("UPDATE leases SET lease_until = 0").rowcount
    )
    clock.moment += timedelta(days=2)
    with pytest.raises(HSMUnavailableError):
        away.current()
    assert at(service, clock).current().sequence == 2
    move(service, 1, KeyState.COMPROMISED)
    with pytest.raises(HSMUnavailableError):
        away.current()
    assert at(service, clock).current().sequence == 3
    assert away.current().sequence == 3


def test_the_older_active_version_signs_while_the_newest_is_away(
    services: Services, service: Service, first: TokenFixture, second: TokenFixture
) -> None:
    both = services(first, second)
    rotate(both, "log", token=second.label, alongside=True)
    assert both.operations.withdrawals.current().version == 2
    move(both, 1, KeyState.COMPROMISED)
    assert services(first).operations.withdrawals.current().version == 1


def test_many_who_ask_at_once_get_one_list(service: Service) -> None:
    gate = threading.Barrier(6)
    found: list[WithdrawalList] = []

    def ask() -> None:
        gate.wait()
        found.append(service.operations.withdrawals.current())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert {issued.sequence for issued in found} == {1}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (lambda issued: replace(issued, sequence=2), True),
        (lambda issued: issued, False),
        (lambda issued: replace(issued, sequence=2, key="release", version=1), None),
    ],
)
def test_the_store_keeps_a_number_once_and_no_signature_of_a_version_that_is_not_active(
    service: Service, change: Callable[[WithdrawalList], WithdrawalList], kept: bool | None
) -> None:
    issued = service.operations.withdrawals.current()
    move(service, 1, KeyState.RETIRED)
    if kept is None:
        with pytest.raises(LeaseLostError):
            service.store.withdrawals.add(change(issued))
    else:
        assert service.store.withdrawals.add(change(issued)) is kept
    latest = service.store.withdrawals.latest()
    assert latest is not None
    assert latest.sequence == (2 if kept else 1)
