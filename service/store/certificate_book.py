"""The book of certificates: `service.ports.certificates.CertificateBook` over the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from service.domain.certificates import CertificateChain
from service.domain.errors import KeyNotUsableError
from service.domain.keys import KeyVersion
from service.domain.lifecycle import version_of
from service.domain.subjects import Subject
from service.store.certificates import check_subject, put_chain
from service.store.database import Database
from service.store.key_rows import CERTIFIED, locked_key, versions_from


class StoredCertificateBook:
    def __init__(self, database: Database) -> None:
        self._database = database

    def check_subject(self, name: str, number: int, subject: Subject) -> None:
        self._database.read(lambda connection: check_subject(connection, name, number, subject))

    def record(self, name: str, number: int, chain: CertificateChain, *, actor: str) -> KeyVersion:
        def run(connection: Connection) -> KeyVersion:
            # The version stays as it is until this transaction ends.
            version = version_of(locked_key(connection, name), name, number)
            if not version.has_a_future:
                raise KeyNotUsableError(f"{name} version {number} is {version.state}")
            put_chain(connection, name, number, chain, actor=actor)
            return replace(version, chain=chain)

        return self._database.write(run)

    def in_use(self) -> Sequence[KeyVersion]:
        certified = self._database.read(
            lambda connection: versions_from(connection, connection.execute(CERTIFIED).all())
        )
        return [version for version in certified if version.has_a_future]
