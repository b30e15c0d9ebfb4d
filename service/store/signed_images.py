"""The record by image.

Whoever goes through it does so once, a page at a time, in the order of the primary key: all
pages together read the table once. No index is kept for it, which every signature would pay for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, exists, func, select

from service.domain.digests import Digest
from service.domain.references import Repository
from service.domain.signing import Signature
from service.ports.store import SignedImage
from service.store.database import Database
from service.store.rows import SIGNATURES, repository_from, signature_from
from service.store.schema import STANDING, signatures

_EARLIER: Final = signatures.alias("earlier")


def _by_others(table: Any) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.key == bindparam("key"),
        table.c.version != bindparam("but"),
        table.c.standing.is_(True),
    )


_FIRST_OF_ITS_IMAGE: Final = ~exists().where(
    _EARLIER.c.digest == signatures.c.digest,
    _EARLIER.c.repository == signatures.c.repository,
    _EARLIER.c.seq < signatures.c.seq,
    *_by_others(_EARLIER),
)
_PAGE: Final = (
    select(signatures.c.seq, signatures.c.repository, signatures.c.digest)
    .where(
        signatures.c.seq > bindparam("after", type_=signatures.c.seq.type),
        *_by_others(signatures),
        _FIRST_OF_ITS_IMAGE,
    )
    .order_by(signatures.c.seq)
    .limit(bindparam("most", type_=signatures.c.version.type))
)
_COUNT: Final = select(func.count()).select_from(
    select(signatures.c.repository, signatures.c.digest)
    .where(*_by_others(signatures))
    .distinct()
    .subquery()
)
_REPOSITORIES: Final = (
    select(signatures.c.repository)
    .where(signatures.c.repository > bindparam("behind"), *_by_others(signatures))
    .distinct()
    .order_by(signatures.c.repository)
)
_OF_IMAGE: Final = SIGNATURES.where(
    signatures.c.digest == bindparam("digest"),
    signatures.c.repository == bindparam("repository"),
    signatures.c.key == bindparam("key"),
    signatures.c.version != bindparam("but"),
    STANDING,
).order_by(signatures.c.seq)


class StoredSignedImages:
    """service.ports.store.SignedImages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, key: str, *, but: int) -> int:
        values = {"key": key, "but": but}
        return self._database.read(lambda c: int(c.execute(_COUNT, values).scalar_one()))

    def page(self, key: str, *, but: int, after: int, limit: int) -> Sequence[SignedImage]:
        values = {"key": key, "but": but, "after": after, "most": limit}
        rows = self._database.read(lambda c: c.execute(_PAGE, values).all())
        return [
            SignedImage(row.seq, repository_from(row.repository), Digest(row.digest))
            for row in rows
        ]

    def repositories(self, key: str, *, but: int, after: str) -> Sequence[Repository]:
        values = {"key": key, "but": but, "behind": after}
        rows = self._database.read(lambda c: c.execute(_REPOSITORIES, values).scalars().all())
        # The database's own collation orders; what it gives is what it compares with next time.
        return [repository_from(text) for text in rows]

    def standing(
        self, key: str, repository: Repository, digest: Digest, *, but: int
    ) -> Sequence[Signature]:
        values = {"key": key, "repository": str(repository), "digest": digest.hex, "but": but}
        rows = self._database.read(lambda c: c.execute(_OF_IMAGE, values).all())
        return [signature_from(row) for row in rows]
