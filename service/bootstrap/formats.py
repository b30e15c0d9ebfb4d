"""The signature formats, and what brings each kind of them to its place: the two tables."""

from __future__ import annotations

from collections.abc import Mapping

from service.domain.clock import Clock
from service.domain.outbox import OrderKind
from service.formats.bundle import BundleFormat
from service.formats.openpgp.form import OpenPGPFormat
from service.formats.simplesigning import CosignFormat
from service.ports.formats import SignatureFormat
from service.ports.registry import Attacher
from service.registry import (
    LookasideAttacher,
    OCIClient,
    ReferrerAttacher,
    SharedTag,
    SigTagAttacher,
)


def signature_formats() -> Mapping[str, SignatureFormat]:
    formats: tuple[SignatureFormat, ...] = (CosignFormat(), BundleFormat(), OpenPGPFormat())
    return {form.name: form for form in formats}


def registry_attachers(client: OCIClient, clock: Clock) -> Mapping[OrderKind, Attacher]:
    shared = SharedTag(client, clock)
    return {
        OrderKind.ATTACH: SigTagAttacher(client, clock, shared),
        OrderKind.LOOKASIDE: LookasideAttacher(),
        OrderKind.REFER: ReferrerAttacher(client, clock, shared),
    }
