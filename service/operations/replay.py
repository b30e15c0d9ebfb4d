"""Idempotency-Key: results are kept, given again, and only what was retryable is tried again.

The key keeps one request id however often it is taken, so that a run that died after step 9
is found by the next one, and nothing is signed twice, even with `force`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from service.domain.callers import Caller
from service.domain.digests import Digest
from service.domain.errors import InternalError, ServiceError, by_code
from service.domain.limits import INTENT_LEASE_SECONDS
from service.domain.signing import SignedItem
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
            self.ledger.finish(held, _dump(results))

    def earlier(self, held: IdempotentRequest | None, size: int) -> Mapping[int, SignedItem]:
        """Return the items that succeeded or failed for good in an earlier run, by index."""
        if held is None or held.results is None:
            return {}
        settled: dict[int, SignedItem] = {}
        entries = json.loads(held.results)
        ids = [i for entry in entries for i in entry["signatures"]]
        signatures = self.outbox.attachment_states(ids) if ids else {}
        for index, entry in enumerate(entries[:size]):
            error = _error(entry["error"])
            if error is not None and error.retryable:
                continue
            digest = entry["digest"]
            settled[index] = SignedItem(
                reference=entry["reference"],
                item_id=entry["id"],
                digest=Digest.parse(digest) if digest is not None else None,
                signatures=tuple(signatures[i] for i in entry["signatures"]),
                error=error,
            )
        return settled


def _dump(items: tuple[SignedItem, ...]) -> bytes:
    entries = [
        {
            "reference": item.reference,
            "id": item.item_id,
            "digest": str(item.digest) if item.digest is not None else None,
            "signatures": [s.id for s in item.signatures],
            "error": None
            if item.error is None
            else {"code": item.error.code, "detail": str(item.error)},
        }
        for item in items
    ]
    return json.dumps(entries, separators=(",", ":")).encode()


def _error(entry: Mapping[str, str] | None) -> ServiceError | None:
    if entry is None:
        return None
    kind = by_code(entry["code"]) or InternalError
    return kind(entry["detail"])
