"""Who stamps what this service signs: what the time-stamps file says, or our own authority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.bootstrap.settings import Settings
from service.domain.clock import Clock
from service.operations import Timestamps
from service.operations.joint import Joint
from service.operations.stamp import StampSignatures
from service.ports.formats import SignatureFormat
from service.store import Store


def build_stamping(
    settings: Settings,
    store: Store,
    own: Timestamps,
    formats: Mapping[str, SignatureFormat],
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
