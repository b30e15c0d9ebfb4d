"""Intents and outcomes (docs/signing-cycle.md, steps 6 and 9) and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select, update

from service.domain.clock import from_millis
from service.domain.digests import Digest
from service.domain.limits import MAX_LOOKASIDE_FILES, MAX_PAGE_BYTES
from service.domain.outbox import OrderKind
from service.domain.pages import Page, PageRequest
from service.domain.references import Repository
from service.domain.signing import (
    AttachmentState,
    Intent,
    Outcome,
    Signature,
    UnknownOutcome,
)
from service.ports.store import Completed, SignatureFilter
from service.store.bulk import BulkInsert
from service.store.completion import answers, complete, complete_one
from service.store.database import Database
from service.store.drafts import Share, draft
from service.store.fast import rows
from service.store.paging import conditions, limit_of, number_after, page_of
from service.store.rows import (
    SIGNATURES,
    STATEMENT_COLUMNS,
    payload_sha256,
    repository_from,
    signature_from,
    statement_from,
    statement_values,
)
from service.store.schema import OPEN, STANDING, attachments, intents, outbox, signatures
from service.store.sql import any_of, database_now, now_ms

_INSERT: Final = BulkInsert(
    intents,
    (
        "id",
        "request_id",
        "item",
        *STATEMENT_COLUMNS,
        "payload_sha256",
        "credential_id",
        "attach",
        "state",
        "owner",
        "replaces",
        "lease_until",
        "created_at",
    ),
)
_SUPERSEDE: Final = (
    update(intents)
    .where(
        any_of(intents.c.statement_hash, "hashes"),
        OPEN,
        intents.c.lease_until < bindparam("now"),
    )
    .values(state="superseded")
    .returning(intents.c.id, intents.c.statement_hash, intents.c.seq)
)
_RENEW: Final = (
    update(intents)
    .where(
        intents.c.request_id == bindparam("request"),
        intents.c.owner == bindparam("holder"),
        OPEN,
        intents.c.lease_until >= now_ms(),
    )
    .values(lease_until=now_ms() + bindparam("millis", type_=intents.c.lease_until.type))
)
_ABANDON: Final = (
    update(intents)
    .where(
        any_of(intents.c.id, "ids"),
        intents.c.owner == bindparam("holder"),
        OPEN,
    )
    .values(state="abandoned", reason=bindparam("why"))
)
_STANDING: Final = SIGNATURES.where(any_of(signatures.c.statement_hash, "hashes"), STANDING)
_BY_ID: Final = SIGNATURES.where(signatures.c.id == bindparam("id"))
_AT_LOOKASIDE: Final = (
    SIGNATURES.join(outbox, outbox.c.id == attachments.c.order_id)
    .where(
        signatures.c.digest == bindparam("digest"),
        signatures.c.repository == bindparam("repository"),
        STANDING,
        attachments.c.state == AttachmentState.ATTACHED.value,
        outbox.c.kind == OrderKind.LOOKASIDE.value,
    )
    .order_by(signatures.c.seq)
    .limit(MAX_LOOKASIDE_FILES)
)
_OF_VERSION: Final = SIGNATURES.where(
    signatures.c.digest == bindparam("digest"),
    signatures.c.key == bindparam("key"),
    signatures.c.version == bindparam("version"),
)
_REPOSITORIES: Final = select(signatures.c.repository).distinct()
# An intent leads to the signature made for it, or to the one that its own gave way to.
_MADE: Final = (
    SIGNATURES.add_columns(intents.c.item.label("item"), intents.c.statement_hash.label("hash"))
    .join(
        intents,
        (intents.c.id == signatures.c.intent_id) | (intents.c.answered_with == signatures.c.id),
    )
    .where(
        intents.c.request_id == bindparam("request"),
        intents.c.item >= bindparam("first"),
        intents.c.item < bindparam("end"),
    )
    .order_by(intents.c.seq)
)


class StoredJournal:
    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(self, statement_hashes: Sequence[str]) -> Mapping[str, Signature]:
        if not statement_hashes:
            return {}
        values = {"hashes": list(statement_hashes)}
        found = self._database.read(lambda connection: rows(connection, _STANDING, values))
        return {row.statement_hash: signature_from(row) for row in found}

    def made_for_request(
        self, request_id: str, *, items: range
    ) -> Mapping[tuple[int, str], Signature]:
        values = {"request": request_id, "first": items.start, "end": items.stop}
        found = self._database.read(lambda connection: connection.execute(_MADE, values).all())
        return {(row.item, row.hash): signature_from(row) for row in found}

    def intend(self, intents: Sequence[Intent], *, owner: str, seconds: float) -> None:
        if intents:
            made = [(_intent_values(intent, owner), intent.replaces) for intent in intents]
            self._database.write_share(_intend, (made, round(seconds * 1000)))

    def renew(self, request_id: str, *, owner: str, seconds: float) -> None:
        values = {"request": request_id, "holder": owner, "millis": round(seconds * 1000)}
        self._database.write(lambda connection: connection.execute(_RENEW, values).rowcount)

    def complete(
        self, outcomes: Sequence[Outcome], *, owner: str, order_lease_seconds: float
    ) -> Sequence[Completed]:
        if not outcomes:
            return ()
        share = Share(tuple(map(draft, outcomes)), owner, order_lease_seconds)
        settled = (
            self._database.write_share(complete, share)
            if share.may_join_others
            else self._database.write(partial(complete_one, share))
        )
        return answers(share, settled)

    def abandon(self, intent_ids: Sequence[str], *, owner: str, reason: str) -> None:
        if intent_ids:
            values = {"ids": list(intent_ids), "holder": owner, "why": reason}
            self._database.write(lambda connection: connection.execute(_ABANDON, values).rowcount)

    def get(self, signature_id: str) -> Signature | None:
        row = self._database.read(
            lambda connection: connection.execute(_BY_ID, {"id": signature_id}).one_or_none()
        )
        return None if row is None else signature_from(row)

    def at_lookaside(self, repository: Repository, digest: Digest) -> Sequence[Signature]:
        values = {"repository": str(repository), "digest": digest.hex}
        found = self._database.read(
            lambda connection: connection.execute(_AT_LOOKASIDE, values).all()
        )
        return [signature_from(row) for row in found]

    def repositories(self) -> Sequence[Repository]:
        rows = self._database.read(lambda c: c.execute(_REPOSITORIES).scalars().all())
        return [repository_from(name) for name in sorted(rows)]

    def of_version(self, key: str, version: int, digest: Digest) -> Sequence[Signature]:
        values = {"key": key, "version": version, "digest": digest.hex}
        found = self._database.read(lambda c: c.execute(_OF_VERSION, values).all())
        return [signature_from(row) for row in found]

    def list(self, wanted: SignatureFilter, page: PageRequest) -> Page[Signature]:
        """Newest first."""
        where = conditions(signatures, wanted)
        after = number_after(page)
        if after is not None:
            where.append(signatures.c.seq < after)
        page = self._fitting(where, page)
        query = SIGNATURES.where(*where)
        query = query.order_by(signatures.c.seq.desc()).limit(limit_of(page) + 1)
        found = self._database.read(lambda connection: connection.execute(query).all())
        return page_of(found, page, signature_from, lambda row: int(row.seq))

    def _fitting(self, where: Sequence[ColumnElement[bool]], page: PageRequest) -> PageRequest:
        """Return the page with so few items that their payloads fit into one answer."""
        query = select(func.length(signatures.c.payload)).where(*where)
        query = query.order_by(signatures.c.seq.desc()).limit(limit_of(page))
        sizes = self._database.read(lambda connection: connection.execute(query).scalars().all())
        fitting = sum(1 for total in accumulate(sizes) if total <= MAX_PAGE_BYTES)
        return replace(page, limit=max(1, fitting)) if fitting < len(sizes) else page

    def unknown_outcomes(self, wanted: SignatureFilter, page: PageRequest) -> Page[UnknownOutcome]:
        """Newest first. One that a retry has superseded is no longer open."""
        query = select(intents).where(
            OPEN,
            intents.c.lease_until < now_ms(),
            *conditions(intents, wanted),
        )
        after = number_after(page)
        if after is not None:
            query = query.where(intents.c.seq < after)
        query = query.order_by(intents.c.seq.desc()).limit(limit_of(page) + 1)
        found = self._database.read(lambda connection: connection.execute(query).all())
        return page_of(found, page, _unknown_from, lambda row: int(row.seq))


_IntentRows = tuple[Sequence[tuple[tuple[Any, ...], str | None]], int]
"""The rows of one call, each with the intent that it replaces, and the lease in milliseconds."""


def _intend(connection: Connection, shares: Sequence[_IntentRows]) -> Sequence[None]:
    now = database_now(connection)
    hashes = [row[_HASH] for intents, _ in shares for row, _ in intents]
    dead = rows(connection, _SUPERSEDE, {"hashes": hashes, "now": now})
    replaced = {row.statement_hash: row.id for row in sorted(dead, key=lambda row: row.seq)}
    _INSERT.tuples(
        connection,
        [
            (*row, replaced.get(row[_HASH], replaces), now + millis, now)
            for intents, millis in shares
            for row, replaces in intents
        ],
    )
    return [None] * len(shares)


_HASH: Final = 3  # of the statement, in such a row


def _intent_values(intent: Intent, owner: str) -> tuple[Any, ...]:
    return (
        intent.id,
        intent.request_id,
        intent.item,
        *statement_values(intent),
        payload_sha256(intent),
        intent.credential_id,
        intent.attach is not None,
        "open",
        owner,
    )


def _unknown_from(row: Row[Any]) -> UnknownOutcome:
    return UnknownOutcome(
        intent_id=row.id,
        statement=statement_from(row),
        credential_id=row.credential_id,
        created_at=from_millis(row.created_at),
    )
