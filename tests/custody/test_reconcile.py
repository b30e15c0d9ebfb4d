"""What others remove from a registry, or overwrite there, is noticed."""

from __future__ import annotations

import uuid

import pytest

from service.domain.digests import Digest
from service.domain.findings import SIGNATURE_MISSING
from service.domain.keys import KeyState
from service.domain.pages import PageRequest
from service.ports.store import FindingFilter
from tests.support.registry import DockerRegistry
from tests.support.reissuing import deliver_everything
from tests.support.services import Services, make_key, move, rotate, sign_image
from tests.support.sites import Site
from tests.support.softhsm import TokenFixture


class Round(Site):
    """A site whose deliveries are settled, as the loop leaves them after some looks."""

    def signed_in_both(self) -> tuple[str, Digest]:
        image = self.push()
        item = sign_image(self.service, image, formats=("cosign", "bundle"))
        assert item.error is None
        return image, Digest.parse(image.partition("@")[2])

    def settle(self) -> None:
        """Take every list for looked after: what the worker does within some seconds."""
        self.service.store._database.write(
            lambda c: c.exec_driver_sql("UPDATE outbox SET state = 'done'").rowcount
        )

    def reconcile(self) -> int:
        [(_, chore)] = self.service.upkeep._due
        looked = chore.run()
        assert isinstance(looked, int)
        return looked

    def missing(self) -> list[str]:
        wanted = FindingFilter(code=SIGNATURE_MISSING, is_open=True)
        found = self.service.store.findings.list(wanted, PageRequest()).items
        return sorted(one.subject for one in found)

    def remove(self, reference: str) -> None:
        stored = self.registry.get_manifest(self.repository, reference)
        assert stored is not None
        path = f"/v2/{self.repository}/manifests/{stored.digest}"
        assert self.registry.request("DELETE", path).status == 202

    def held(self, digest: Digest) -> tuple[int, int]:
        return (
            len(self.registry.signature_layers(self.repository, digest)),
            len(self.registry.referrer_entries(self.repository, digest)),
        )


@pytest.fixture
def restores() -> bool:
    return False


@pytest.fixture
def round_(
    services: Services, registry: DockerRegistry, first: TokenFixture, restores: bool
) -> Round:
    services.registries = (registry.host,)
    services.policy = {"registries": {"restore_removed": restores}}
    service = services(first)
    make_key(service, token=first.label)
    return Round(service, registry, f"reconcile/{uuid.uuid4().hex[:12]}")


def test_what_is_in_place_is_no_finding(round_: Round) -> None:
    round_.signed_in_both()
    round_.settle()
    assert round_.reconcile() == 2
    assert round_.missing() == []


def test_what_was_removed_is_reported_until_it_is_back(round_: Round) -> None:
    image, digest = round_.signed_in_both()
    round_.settle()
    round_.remove(f"sha256-{digest.hex}.sig")
    round_.remove(f"sha256-{digest.hex}")
    round_.reconcile()
    assert round_.missing() == [f"{image} attach", f"{image} refer"]
    # It is not put back unless policy says so.
    deliver_everything(round_.service)
    assert round_.held(digest) == (0, 0)
    sign_image(round_.service, image, formats=("cosign", "bundle"))
    assert round_.held(digest) == (1, 1)
    round_.settle()
    round_.reconcile()
    assert round_.missing() == []


def test_what_was_overwritten_is_reported(round_: Round) -> None:
    image, _ = round_.signed_in_both()
    round_.settle()
    round_.attach_only(image, b"{}", b"somebody else's")
    round_.reconcile()
    assert round_.missing() == [f"{image} attach"]


@pytest.mark.parametrize("restores", [True])
def test_where_policy_says_so_it_is_put_back(round_: Round) -> None:
    image, digest = round_.signed_in_both()
    round_.settle()
    round_.remove(f"sha256-{digest.hex}.sig")
    round_.remove(f"sha256-{digest.hex}")
    assert round_.held(digest) == (0, 0)
    round_.reconcile()
    deliver_everything(round_.service)
    assert round_.held(digest) == (1, 1)
    assert round_.missing() == []
    assert round_.verdict(image).verdict == "verified"


@pytest.mark.parametrize("restores", [True])
def test_what_does_not_count_any_more_is_not_put_back(round_: Round) -> None:
    _, digest = round_.signed_in_both()
    rotate(round_.service)
    move(round_.service, 1, KeyState.COMPROMISED)
    round_.settle()
    round_.remove(f"sha256-{digest.hex}.sig")
    round_.reconcile()
    deliver_everything(round_.service)
    assert round_.held(digest)[0] == 0


def test_an_image_that_is_gone_needs_no_signatures(round_: Round) -> None:
    _, digest = round_.signed_in_both()
    round_.settle()
    round_.remove(f"sha256-{digest.hex}.sig")
    round_.remove(str(digest))
    round_.reconcile()
    assert round_.missing() == []


def test_a_registry_that_does_not_answer_has_removed_nothing(
    round_: Round, services: Services, first: TokenFixture
) -> None:
    round_.signed_in_both()
    round_.settle()
    services.registries = ("registry.example.com",)
    elsewhere = Round(services(first), round_.registry, round_.repository)
    assert elsewhere.reconcile() == 2
    assert elsewhere.missing() == []


def test_passes_go_on_where_the_last_one_ended_whoever_makes_them(
    round_: Round, services: Services, first: TokenFixture
) -> None:
    for _ in range(12):
        round_.signed_in_both()
    round_.settle()
    other = Round(services(first), round_.registry, round_.repository)
    assert [round_.reconcile(), other.reconcile()] == [20, 4]
    assert round_.service.store.cursors.position("reconcile") == 0
    held = round_.service.store.leases.acquire("reconcile", owner="somebody", seconds=60)
    assert held is not None
    assert other.reconcile() == 0
    round_.service.store.leases.release(held)
    assert other.reconcile() == 20
