"""Who stamps what this service signs: what the time-stamps file says, or our own authority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.bootstrap.settings import Settings
from service.domain.clock import Clock
from service.domain.keys import Purpose
from service.operations import Timestamps
from service.operations.joint import Joint
from service.operations.proofs import (
    AnyProof,
    PromisedProofs,
    RecordedProofs,
    StampedProofs,
    own_authority,
)
from service.operations.stamp import StampSignatures
from service.ports.formats import RecordedFormat
from service.ports.proofs import ProofsOfTime
from service.store import Store
from service.verification.stamps import TrustedAuthority


def build_stamping(
    settings: Settings,
    store: Store,
    own: Timestamps,
    formats: Mapping[str, RecordedFormat],
    clock: Clock,
) -> StampSignatures:
    def each(shares: Sequence[None]) -> Sequence[bool]:
        return [own.is_ours()] * len(shares)

    is_ours: Joint[None, bool] = Joint(each)
    return StampSignatures(
        [own],
        keys=None,
        is_wanted=lambda: is_ours(None),
        formats=formats,
        book=store.timestamps,
        clock=clock,
    )


def build_proofs(store: Store) -> ProofsOfTime:
    def authorities() -> Sequence[TrustedAuthority]:
        return [own_authority(store.keys.trusted_by_purpose(Purpose.TIMESTAMP))]

    kinds = (RecordedProofs(store.journal), StampedProofs(authorities), PromisedProofs(store.keys))
    return AnyProof(kinds)
