"""Our own small CA, for those who have none: a key of purpose `ca`, in the HSM like any other.

It certifies signers and nothing else. Everything that it vouches for says so in its subject,
because nobody but this service stands behind it. Its certificate is made when it is first
needed, for each version of its key anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from service.domain.certificates import CertificateChain, ChainOrigin, Validity
from service.domain.clock import Clock
from service.domain.errors import (
    CertificateAuthorityNotUsableError,
    InvalidRequestError,
    KeyNotUsableError,
)
from service.domain.keys import OWN_CA, Key, KeyVersion
from service.domain.purposes import CAVersion, ca_version
from service.domain.subjects import MANDATORY, Subject
from service.domain.x509_names import subject_of
from service.operations.check_certificates import Signer, begin, checked
from service.operations.key_lease import held_key
from service.ports.certificates import CertificateBook, CertificateMaker
from service.ports.store import AuditTrail, KeyCatalog, Leases

SELF_MADE: Final = "self-made by Sealwright"
ROOT_DAYS: Final = 3652  # ten years
LEAF_DAYS: Final = 1095  # three years: notation refuses what has no timestamp once it is over
MAX_LEAF_DAYS: Final = ROOT_DAYS
_BACKDATED: Final = timedelta(minutes=5)  # for verifiers whose clocks are behind
_AT_LEAST: Final = timedelta(days=1)  # a root that ends sooner certifies nothing more
_CN_CHARS: Final = 64  # X.520, ub-common-name

Place = Mapping[str, str]
"""C, ST and O: what notation needs beside a name of the version's own."""


def signer_subject(place: Place, name: str, number: int) -> Subject:
    """Return a subject that no other version has: verifiers tell versions apart by it."""
    ending = f" v{number}"
    if len(name) + len(ending) > _CN_CHARS:
        digest = sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: _CN_CHARS - len(ending) - len(digest) - 1]}~{digest}"
    return subject_of({**place, "OU": SELF_MADE, "CN": f"{name}{ending}"})


def ca_subject(place: Place, version: KeyVersion) -> Subject:
    """Return a subject that no other installation's CA has either."""
    name = f"Sealwright own CA v{version.version} {version.fingerprint[:8]}"
    return subject_of({**place, "OU": SELF_MADE, "CN": name})


def place_of(subject: Subject) -> Place:
    return {name: value for name, value in subject.attributes if name in MANDATORY}


def validity(begin: datetime, *, days: int) -> Validity:
    """Return a validity that began a little while ago, in whole seconds."""
    start = (begin - _BACKDATED).replace(microsecond=0)
    return Validity(start, start + timedelta(days=days))


@dataclass(frozen=True, slots=True)
class OwnCA:
    catalog: KeyCatalog
    maker: CertificateMaker
    book: CertificateBook
    leases: Leases
    audit: AuditTrail
    clock: Clock

    def key(self) -> Key | None:
        """Return the CA's key, if it was ever made."""
        return self.catalog.get(OWN_CA)

    def usable(self) -> CAVersion:
        """Return the version that certifies now.

        Raises:
            CertificateAuthorityNotUsableError
        """
        key = self.key()
        if key is None:
            raise CertificateAuthorityNotUsableError("it was never made")
        try:
            newest = ca_version(key)
        except KeyNotUsableError as error:
            raise CertificateAuthorityNotUsableError(str(error)) from error
        if newest.chain is not None and newest.chain.not_after < self.clock.now() + _AT_LEAST:
            raise CertificateAuthorityNotUsableError(
                f"the certificate of {OWN_CA} ends on {newest.chain.not_after:%Y-%m-%d}"
            )
        return newest

    def place(self, given: Place) -> Place:
        """Complete C, ST and O by what the CA was made with, whatever its state.

        Raises:
            InvalidRequestError: nobody has said them yet.
        """
        key = self.key()
        known = [v.chain.subject for v in (key.versions if key else ()) if v.chain is not None]
        place = {**(place_of(known[-1]) if known else {}), **given}
        missing = [name for name in MANDATORY if not place.get(name)]
        if missing:
            names = {"C": "country", "ST": "state", "O": "organization"}
            raise InvalidRequestError(
                "the first certificate needs country, state and organization, by which notation "
                "names signers; later ones take them over",
                errors={names[name]: ["needed for the first certificate"] for name in missing},
            )
        return place

    def issue(self, signer: Signer, place: Place, *, days: int, actor: str) -> CertificateChain:
        """Certify a version; the chain is not on record yet.

        Raises:
            CertificateAuthorityNotUsableError, BusyError, and what `CertificateMaker` raises.
        """
        ca, root = self._with_root(place, actor)
        wanted = validity(self.clock.now(), days=days)
        # Some verifiers refuse a leaf that outlives its root.
        fitting = Validity(wanted.begin, min(wanted.end, root.not_after))
        subject = signer_subject(place, signer.key, signer.version)
        begin(self.audit, signer, subject, by=ca, actor=actor)
        leaf = self.maker.leaf(
            ca,
            root.certificates[0],
            public_key=signer.public_key,
            purpose=signer.purpose,
            subject=subject,
            validity=fitting,
        )
        certificates = (leaf, root.certificates[0])
        return checked(certificates, signer, ChainOrigin.OWN_CA, at=self.clock.now())

    def _with_root(self, place: Place, actor: str) -> tuple[CAVersion, CertificateChain]:
        ca = self.usable()
        if ca.chain is not None:
            return ca, ca.chain
        # Verifiers trust a root as a whole: two for one key would be two CAs to them.
        with held_key(self.leases, OWN_CA):
            ca = self.usable()
            return ca, ca.chain or self._certify_itself(ca, place, actor)

    def _certify_itself(self, ca: CAVersion, place: Place, actor: str) -> CertificateChain:
        subject = ca_subject(place, ca)
        wanted = validity(self.clock.now(), days=ROOT_DAYS)
        begin(self.audit, Signer.of(ca), subject, by=ca, actor=actor)
        root = self.maker.root(ca, subject, wanted)
        chain = CertificateChain(
            ChainOrigin.SELF_SIGNED, (root,), subject, wanted.begin, wanted.end
        )
        self.book.record(ca.key, ca.version, chain, actor=actor)
        return chain
