"""Idempotency-Key: results are kept, given again, and only what was retryable is tried again.

The key keeps one request id however often it is taken, so that a run that died after step 9
is found by the next one, and nothing is signed twice, even with `force`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.domain.callers import Caller
from service.domain.digests import Descriptor, Digest
from service.domain.errors import InternalError, ServiceError, by_code
from service.domain.limits import INTENT_LEASE_SECONDS
from service.domain.signing import Signature, SignedItem
from service.operations.renewal import LeaseRenewer
from service.ports.store import IdempotencyLedger, IdempotentRequest, Outbox


@dataclass(slots=True)
class Replay:
    """What the block under `holding` fills in."""

    request: IdempotentRequest
    results: tuple[SignedItem, ...] | None = None


@dataclass(frozen=True, slots=True)
class Replays:
    ledger: IdempotencyLedger
    outbox: Outbox
    renewer: LeaseRenewer

    @contextmanager
    def holding(self, caller: Caller, key: str, *, body_hash: str, owner: str) -> Iterator[Replay]:
        """Hold the key for the block; keep its results, or let go of it without any.

        An answer that would be a 503 (nothing succeeded, everything is retryable) and an
        exception release the key: a retry starts anew.
        """
        held = self.ledger.begin(
            credential_id=caller.credential_id,
            key=key,
            body_hash=body_hash,
            owner=owner,
            seconds=INTENT_LEASE_SECONDS,
        )
        replay = Replay(held)
        renew = partial(self.ledger.renew, held, seconds=INTENT_LEASE_SECONDS)
        try:
            with self.renewer.holding(renew, every=INTENT_LEASE_SECONDS / 3):
                yield replay
        except BaseException:
            self.ledger.release(held)
            raise
        results = replay.results or ()
        if all(item.error is not None and item.error.retryable for item in results):
            self.ledger.release(held)
        else:
            self.ledger.finish(held, _kept(held, results))

    def earlier(self, held: IdempotentRequest | None, size: int) -> Mapping[int, SignedItem]:
        """Return the items that succeeded or failed for good in an earlier run, by index."""
        if held is None or held.results is None:
            return {}
        return {
            index: item
            for index, item in enumerate(load_items(held.results, self.outbox)[:size])
            if not any(error.retryable for error in item.errors())
        }


def _kept(held: IdempotentRequest, results: Sequence[SignedItem]) -> bytes:
    """Return what is kept: an end for good stays, even where today's policy denied the answer."""
    earlier = json.loads(held.results) if held.results is not None else []
    entries = [_entry(item) for item in results]
    for index, before in enumerate(earlier[: len(entries)]):
        if not _is_retryable(before):
            entries[index] = before
    return _dumped(entries)


def _is_retryable(entry: Mapping[str, Any]) -> bool:
    error = _error(entry["error"])
    return (error is not None and error.retryable) or any(map(_is_retryable, entry["children"]))


def load_items(kept: bytes, outbox: Outbox) -> Sequence[SignedItem]:
    """Return items as `dump_items` kept them, with their attachments as they are now."""
    entries = json.loads(kept)
    ids = [i for entry in entries for i in _signatures(entry)]
    signatures = outbox.attachment_states(ids) if ids else {}
    return [_load(entry, signatures) for entry in entries]


def dump_items(items: Iterable[SignedItem]) -> bytes:
    """Keep items by the ids of their signatures, which are on record."""
    return _dumped([_entry(item) for item in items])


def _dumped(entries: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps(entries, separators=(",", ":")).encode()


def _entry(item: SignedItem) -> dict[str, Any]:
    descriptor = item.descriptor
    return {
        "reference": item.reference,
        "id": item.item_id,
        "digest": str(item.digest) if item.digest is not None else None,
        "descriptor": [descriptor.media_type, descriptor.size] if descriptor is not None else None,
        "platform": item.platform,
        "signatures": [s.id for s in item.signatures],
        "children": [_entry(child) for child in item.children],
        "error": None
        if item.error is None
        else {"code": item.error.code, "detail": str(item.error)},
    }


def _signatures(entry: Mapping[str, Any]) -> Iterator[str]:
    yield from entry["signatures"]
    for child in entry["children"]:
        yield from _signatures(child)


def _load(entry: Mapping[str, Any], signatures: Mapping[str, Signature]) -> SignedItem:
    digest = Digest.parse(entry["digest"]) if entry["digest"] is not None else None
    told = entry["descriptor"]
    return SignedItem(
        reference=entry["reference"],
        item_id=entry["id"],
        digest=digest,
        descriptor=Descriptor(told[0], digest, told[1]) if told and digest else None,
        platform=entry["platform"],
        signatures=tuple(signatures[i] for i in entry["signatures"]),
        children=tuple(_load(child, signatures) for child in entry["children"]),
        error=_error(entry["error"]),
    )


def _error(entry: Mapping[str, str] | None) -> ServiceError | None:
    if entry is None:
        return None
    kind = by_code(entry["code"]) or InternalError
    return kind(entry["detail"])
