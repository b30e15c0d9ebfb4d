"""Entries of other signers: only theirs that policy names, each once, and ours only if on record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from service.domain.errors import ForbiddenError, InvalidRequestError, LogUnavailableError
from service.domain.findings import Severity
from service.domain.keys import (
    Algorithm,
    Attributes,
    GeneratedKey,
    Key,
    Location,
    Purpose,
)
from service.domain.pages import PageRequest
from service.domain.public_keys import PublicKey
from service.operations.log import SignatureLog, TakeEntries
from service.policy.trust import ForeignKey, TrustPolicy
from service.ports.store import FindingFilter
from service.store import Store
from tests.support.logged import assert_included
from tests.support.logs import UnsafeSoftwareSigner, make_log, make_log_key, new_signer
from tests.support.records import MOMENT, a_statement, an_intent, an_outcome
from tests.support.rekor import Client, new_client, other_form

MESSAGE = b"an artifact"


@dataclass
class Site:
    store: Store
    signer: UnsafeSoftwareSigner
    log: SignatureLog
    trusted: list[ForeignKey] = field(default_factory=list)

    @property
    def take(self) -> TakeEntries:
        return TakeEntries(
            self.log,
            self.store.log_reader,
            self.store.keys,
            lambda: TrustPolicy(tuple(self.trusted)),
            self.store.findings,
            self.store.audit,
        )

    def trust(self, client: Client) -> None:
        self.trusted.append(ForeignKey("others", PublicKey.parse(client.spki)))

    def size(self) -> int:
        query = "SELECT count(*) FROM log_additions"
        return int(self.store._database.read(lambda c: c.exec_driver_sql(query).scalar_one()))

    def own(self, client: Client) -> None:
        """Make the client's key a key of ours."""
        generated = GeneratedKey(b"ours", client.spki, Location("token", "serial"), Attributes())
        key = Key("release", Purpose.IMAGE, Algorithm.EC_P256, MOMENT)
        self.store.keys.create(key, generated, actor="custodian")


@pytest.fixture
def site(store: Store, tmp_path: Path) -> Site:
    signer = new_signer()
    make_log_key(store, signer)
    return Site(store, signer, make_log(store, signer, tmp_path / "outside"))


def test_an_entry_of_a_trusted_key_is_logged_proven_and_promised(site: Site) -> None:
    client = new_client()
    site.trust(client)
    for body in (client.hashedrekord(MESSAGE), client.dsse(b"{}")):
        proof = site.take.v1(body)
        assert_included(proof)
        assert proof.promise is not None
    proof = site.take.v2(client.v2(MESSAGE))
    assert_included(proof)
    assert proof.promise is None
    assert proof.index == 2


def test_the_same_entry_again_gets_the_standing_one_in_either_form(site: Site) -> None:
    client = new_client()
    site.trust(client)
    signature = client.sign(MESSAGE)
    first = site.take.v1(client.hashedrekord(MESSAGE, signature))
    for form in (signature, other_form(signature)):
        assert site.take.v1(client.hashedrekord(MESSAGE, form)) == first
    assert site.size() == 1
    site.trusted.clear()
    # What stands is shown to anybody; it is public anyway.
    assert site.take.v1(client.hashedrekord(MESSAGE, signature)) == first


@pytest.mark.parametrize(
    "call",
    [
        lambda s, c: s.take.v1(c.hashedrekord(MESSAGE)),
        lambda s, c: s.take.v1(c.dsse(b"{}")),
        lambda s, c: s.take.v2(c.v2(MESSAGE)),
    ],
    ids=["hashedrekord", "dsse", "v2"],
)
def test_a_key_that_policy_does_not_name_writes_nothing(
    site: Site, call: Callable[[Site, Client], object]
) -> None:
    with pytest.raises(ForbiddenError):
        call(site, new_client())
    assert site.size() == 0
    trusted = new_client()
    site.trust(trusted)
    call(site, trusted)
    assert site.size() == 1


def test_a_wrong_signature_writes_nothing(site: Site) -> None:
    client = new_client()
    site.trust(client)
    with pytest.raises(InvalidRequestError):
        site.take.v1(client.hashedrekord(MESSAGE, client.sign(b"else")))
    with pytest.raises(InvalidRequestError):
        site.take.v1({"kind": "alpine"})
    assert site.size() == 0


def findings(site: Site) -> list[str]:
    found = site.store.findings.list(FindingFilter(), PageRequest()).items
    assert all(one.severity is Severity.CRITICAL for one in found)
    return [f"{one.code} {one.subject}" for one in found]


def test_a_signature_by_our_key_that_is_not_on_record_is_a_critical_finding(site: Site) -> None:
    ours = new_client()
    site.own(ours)
    with pytest.raises(ForbiddenError, match="not on its record"):
        site.take.v1(ours.hashedrekord(MESSAGE))
    assert site.size() == 0
    artifact = sha256(MESSAGE).hexdigest()
    assert findings(site) == [f"signature-not-on-record release/1 {artifact}"]


def test_a_signature_by_our_key_that_is_on_record_is_taken_in_either_form(site: Site) -> None:
    ours = new_client()
    site.own(ours)
    intent = an_intent(a_statement())
    site.store.journal.intend([intent], owner="own", seconds=30)
    outcome = an_outcome(intent)
    signature = ours.sign(MESSAGE)
    object.__setattr__(outcome, "signature", signature)
    site.store.journal.complete([outcome], owner="own", order_lease_seconds=30)
    proof = site.take.v1(ours.hashedrekord(MESSAGE, other_form(signature)))
    assert_included(proof)
    assert findings(site) == []


def test_without_a_log_nothing_is_taken(store: Store, tmp_path: Path) -> None:
    site = Site(store, new_signer(), make_log(store, new_signer(), tmp_path))
    client = new_client()
    site.trust(client)
    with pytest.raises(LogUnavailableError):
        site.take.v2(client.v2(MESSAGE))
