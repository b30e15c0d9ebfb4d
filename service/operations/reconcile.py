"""Compares the record with the registries: is what was attached still there?

Goes round through everything that was ever attached, a few lists a pass, one process at a time.
What is missing is reported, or ordered again, as policy says. Missing is only what a registry
that answers, and that has the image, does not list: silence is no answer, and an image that is
gone needs no signatures. What does not count any more is not missed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from service.domain.audit import AuditEvent
from service.domain.clock import Clock
from service.domain.digests import Descriptor, Digest
from service.domain.errors import ServiceError
from service.domain.findings import SIGNATURE_MISSING, NewFinding, Severity
from service.domain.ids import new_id
from service.domain.keys import Purpose
from service.domain.outbox import Order, OrderKind
from service.domain.signing import AttachmentState, AttachmentWish, Signature
from service.formats.siglist import signature_tag
from service.ports.registry import ReferrerReader, RegistryReader
from service.ports.store import AuditTrail, Findings, KeyCatalog, Leases, Outbox
from service.ports.upkeep import Cursors, SettledOrders
from service.verification.cosign import ManifestMalformedError, unverified_layers

log = logging.getLogger(__name__)

NAME: Final = "reconcile"  # of the lease, and of the cursor
AT_ONCE: Final = 20  # lists in a pass
PASS_SECONDS: Final = 20.0  # a pass ends then, however slow a registry is
LEASE_SECONDS: Final = 120.0  # longer than a pass with one registry that times out at its end
ACTOR: Final = "sealwright"


@dataclass(frozen=True, slots=True)
class Reconcile:
    orders: SettledOrders
    outbox: Outbox
    registry: RegistryReader
    referrers: ReferrerReader
    keys: KeyCatalog
    findings: Findings
    audit: AuditTrail
    leases: Leases
    cursors: Cursors
    restores: Callable[[], bool]
    clock: Clock

    def __call__(self) -> int:
        """Make one pass; return how many lists were looked at."""
        owner = new_id("rec")
        lease = self.leases.acquire(NAME, owner=owner, seconds=LEASE_SECONDS)
        if lease is None:
            return 0  # another process is at it
        try:
            return self._pass(owner)
        finally:
            self.leases.release(lease)

    def _pass(self, owner: str) -> int:
        ends = self.clock.monotonic() + PASS_SECONDS
        orders = self.orders.settled(after=self.cursors.position(NAME), limit=AT_ONCE)
        trusted = {
            (v.key, v.version) for v in self.keys.trusted_by_purpose(Purpose.IMAGE) if v.trusted
        }
        silent: set[str] = set()
        looked = 0
        for order in orders:
            if self.clock.monotonic() > ends:
                break
            looked += 1
            if order.repository.host not in silent and not self._compare(order, trusted, owner):
                silent.add(order.repository.host)
        # Behind the last one it begins anew.
        self.cursors.move(NAME, orders[looked - 1].id if looked == AT_ONCE else 0)
        return looked

    def _compare(self, order: Order, trusted: set[tuple[str, int]], owner: str) -> bool:
        """Return False where the registry gave no answer."""
        subject = f"{order.repository}@{order.digest} {order.kind}"
        signatures = [
            made
            for made in self.outbox.to_attach(order)
            if made.attachment.state is AttachmentState.ATTACHED
            and (made.statement.key, made.statement.version) in trusted
        ]
        try:
            image = self.registry.resolve(order.repository, order.digest)
            missing = [] if image is None else self._missing(order, signatures)
        except ServiceError as error:
            log.info("cannot compare", extra={"order": order.id, "code": error.code})
            return False
        if image is None or not missing:
            self.findings.close(SIGNATURE_MISSING, subject)
        elif self.restores():
            self._restore(order, image, missing, owner)
        else:
            evidence = {"signatures": [made.id for made in missing]}
            self.findings.open(NewFinding(SIGNATURE_MISSING, Severity.HIGH, subject, evidence))
        return True

    def _missing(self, order: Order, signatures: Sequence[Signature]) -> Sequence[Signature]:
        if order.kind is OrderKind.REFER:
            listed = self.referrers.referrers(order.repository, order.digest)
            there = {entry.descriptor.digest for entry in listed.entries}
            if not listed.complete:
                return []  # it may stand behind what we read
            return [made for made in signatures if made.attachment.digest not in there]
        manifest = self.registry.manifest(order.repository, signature_tag(order.digest))
        held = set() if manifest is None else _layers(manifest.content)
        return [
            made for made in signatures if (Digest.of(made.payload), made.signature) not in held
        ]

    def _restore(
        self, order: Order, image: Descriptor, missing: Sequence[Signature], owner: str
    ) -> None:
        """Order it again; the lease is given up at once, so that the worker delivers it."""
        wishes = [AttachmentWish(made.id, order.kind, image) for made in missing]
        self.outbox.order_attachments(wishes, owner=owner, seconds=0)
        self.audit.append(
            [
                AuditEvent(
                    "signature.missed",
                    ACTOR,
                    f"{order.repository}@{order.digest}",
                    {"kind": order.kind, "signatures": [made.id for made in missing]},
                )
            ]
        )


def _layers(manifest: bytes) -> set[tuple[Digest, bytes | None]]:
    """Return what a `.sig` list holds; one that is none of ours holds nothing that we look for."""
    try:
        return {(one.digest, one.unverified_signature) for one in unverified_layers(manifest)}
    except ManifestMalformedError:
        return set()
