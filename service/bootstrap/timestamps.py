"""Who stamps what this service signs, and whose stamps it believes.

Without a time-stamps file our own authority stamps everything from when it has a key. With one, it
is as the file says: what is to be stamped stays here without a stamp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from service.bootstrap.settings import Settings
from service.domain.clock import Clock
from service.domain.errors import ConfigurationError
from service.domain.keys import Purpose
from service.domain.signing import OWN_AUTHORITY
from service.formats.trustfiles.facts import OtherAuthority
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
from service.ports.timestamps import TimestampAuthority
from service.store import Store
from service.timestamping import ExternalAuthority, TimestampConfig, load_timestamps
from service.verification.stamps import TrustedAuthority


def timestamp_config(settings: Settings) -> TimestampConfig | None:
    """Return what the time-stamps file says; None where the settings name none.

    Raises:
        ConfigurationError: with every fault of the file.
    """
    path = settings.timestamps_file
    if path is None:
        return None
    try:
        return load_timestamps(path)
    except ConfigurationError as error:
        faults = (f"SEALWRIGHT_TIMESTAMPS_FILE: {fault}" for fault in error.faults)
        raise ConfigurationError(*faults) from error


def build_stamping(
    configured: TimestampConfig | None,
    store: Store,
    own: Timestamps,
    formats: Mapping[str, RecordedFormat],
    clock: Clock,
) -> StampSignatures:
    authorities: list[TimestampAuthority] = [own]
    is_wanted = _from_when_it_has_a_key(own)
    if configured is not None:
        authorities = [
            own if one.name == OWN_AUTHORITY else ExternalAuthority(one, clock)
            for one in configured.authorities
        ]
        is_wanted = _always if authorities else _never
    return StampSignatures(
        authorities,
        keys=None if configured is None else configured.keys,
        is_wanted=is_wanted,
        formats=formats,
        book=store.timestamps,
        clock=clock,
    )


def build_proofs(configured: TimestampConfig | None, store: Store) -> ProofsOfTime:
    external = [
        TrustedAuthority(one.name, one.roots, between=one.between)
        for one in (() if configured is None else configured.authorities)
        if one.name != OWN_AUTHORITY
    ]

    def authorities() -> Sequence[TrustedAuthority]:
        return [own_authority(store.keys.trusted_by_purpose(Purpose.TIMESTAMP)), *external]

    kinds = (RecordedProofs(store.journal), StampedProofs(authorities), PromisedProofs(store.keys))
    return AnyProof(kinds)


def others(configured: TimestampConfig | None) -> tuple[OtherAuthority, ...]:
    """Return the authorities of others that are trusted."""
    listed = () if configured is None else configured.authorities
    return tuple(
        OtherAuthority(one.name, one.url, one.chains) for one in listed if one.name != OWN_AUTHORITY
    )


def _from_when_it_has_a_key(own: Timestamps) -> Callable[[], bool]:
    # Every request asks; those of one moment ask together.
    def each(shares: Sequence[None]) -> Sequence[bool]:
        return [own.is_ours()] * len(shares)

    is_ours: Joint[None, bool] = Joint(each)
    return lambda: is_ours(None)


def _always() -> bool:
    return True


def _never() -> bool:
    return False
