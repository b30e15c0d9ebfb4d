"""The signature formats: who makes them, brings them to their place, finds and judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.domain.clock import Clock
from service.domain.outbox import OrderKind
from service.formats.attestation import AttestationFormat
from service.formats.bundle import BundleFormat
from service.formats.notation import form as notation
from service.formats.openpgp.form import OpenPGPFormat
from service.formats.payloads import PAYLOAD_FORMS
from service.formats.simplesigning import CosignFormat
from service.operations.fanout import Fanout
from service.operations.find_layers import FindLayers
from service.operations.find_referrers import FindReferrers
from service.operations.finders import Finder
from service.ports.formats import RecordedFormat, SignatureFormat, SignedForm
from service.ports.proofs import ProofsOfTime
from service.ports.registry import Attacher
from service.registry import (
    LookasideAttacher,
    OCIClient,
    ReferrerAttacher,
    ReferrerListing,
    SharedTag,
    SigTagAttacher,
)
from service.verification.bundle import BundleJudge
from service.verification.notation import NotationJudge


def signature_formats() -> Mapping[str, SignatureFormat]:
    formats: tuple[SignatureFormat, ...] = (
        CosignFormat(),
        BundleFormat(),
        notation.JWS,
        notation.COSE,
        OpenPGPFormat(),
    )
    return {form.name: form for form in formats}


def payload_forms() -> Mapping[str, SignedForm]:
    """Return what foreign tools hand over, by the names under which it is on record."""
    return {form.name: form for form in PAYLOAD_FORMS.values()}


def recorded_formats() -> Mapping[str, RecordedFormat]:
    """Return everything that may be on record: the formats of signatures, and attestations."""
    attestation = AttestationFormat()
    return {**signature_formats(), attestation.name: attestation}


def registry_attachers(client: OCIClient, clock: Clock) -> Mapping[OrderKind, Attacher]:
    shared = SharedTag(client, clock)
    return {
        OrderKind.ATTACH: SigTagAttacher(client, clock, shared),
        OrderKind.LOOKASIDE: LookasideAttacher(),
        OrderKind.REFER: ReferrerAttacher(client, clock, shared),
    }


def signature_finders(
    client: OCIClient, proofs: ProofsOfTime, fanout: Fanout, clock: Clock
) -> Sequence[Finder]:
    judges = (BundleJudge(proofs), NotationJudge(proofs, clock))
    return (
        FindLayers(client, proofs),
        FindReferrers(client, ReferrerListing(client), judges, fanout),
    )
