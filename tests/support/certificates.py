"""Certificates over ports in memory: the production code, with keys that are worth nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from service.authority import HSMCertificateMaker
from service.domain.certificates import CertificateChain
from service.domain.clock import Clock
from service.domain.errors import (
    CertificateSubjectTakenError,
    KeyNotUsableError,
)
from service.domain.keys import Key, KeyVersion
from service.domain.lifecycle import version_of, with_versions
from service.domain.subjects import Subject
from service.operations.certify_successor import CertifySuccessor
from service.operations.certify_version import CertifyVersion
from service.operations.own_ca import OwnCA
from service.ports.hsm import Signer
from service.ports.store import AuditTrail, KeyCatalog, Leases


class HoldsKeys(KeyCatalog, Protocol):
    keys: dict[str, Key]


class MemoryCertificateBook:
    """`service.ports.certificates.CertificateBook` over a catalog in memory."""

    def __init__(self, catalog: HoldsKeys) -> None:
        self._catalog = catalog
        self._subjects: list[tuple[str, int, Subject]] = []

    def check_subject(self, name: str, number: int, subject: Subject) -> None:
        in_force = [(v.key, v.version, v.chain.subject) for v in self._versions() if v.chain]
        for key, version, other in (*self._subjects, *in_force):
            is_other = (key, version) != (name, number)
            if is_other and (subject.covers(other) or other.covers(subject)):
                raise CertificateSubjectTakenError(f"{key} version {version} has it")

    def record(self, name: str, number: int, chain: CertificateChain, *, actor: str) -> KeyVersion:
        key = self._catalog.get(name)
        version = version_of(key, name, number)
        if key is None or not version.has_a_future:
            raise KeyNotUsableError(f"{name} version {number} is {version.state}")
        self.check_subject(name, number, chain.subject)
        self._subjects.append((name, number, chain.subject))
        certified = replace(version, chain=chain)
        self._catalog.keys[name] = with_versions(key, [certified])
        return certified

    def in_use(self) -> Sequence[KeyVersion]:
        return [v for v in self._versions() if v.chain is not None and v.has_a_future]

    def _versions(self) -> list[KeyVersion]:
        return [version for key in self._catalog.keys.values() for version in key.versions]


class Certifying:
    """What an installation's acts and operations need to certify, wired together."""

    def __init__(
        self,
        catalog: HoldsKeys,
        signer: Signer,
        leases: Leases,
        audit: AuditTrail,
        clock: Clock,
    ) -> None:
        self.book = MemoryCertificateBook(catalog)
        self.maker = HSMCertificateMaker(signer)
        ca = OwnCA(catalog, self.maker, self.book, leases, audit, clock)
        self.successors = CertifySuccessor(ca, self.book)
        self.performer = CertifyVersion(catalog, self.book, self.maker, ca, audit, clock)
