"""Certificates of keys: asked for, imported, made by ourselves, and shown to anybody."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.acts import Act, Performed
from service.domain.approvals import Approval
from service.domain.audit import AuditEvent
from service.domain.callers import Caller
from service.domain.certificates import CertificateChain
from service.domain.errors import CertificateNotFoundError, KeyNotFoundError, KeyNotUsableError
from service.domain.keys import OWN_CA, Algorithm, KeyVersion, Purpose
from service.domain.subjects import Subject
from service.operations.acts import Acts
from service.operations.certify_version import (
    ChainImport,
    SelfSigning,
    certifiable,
    check_signs,
)
from service.operations.decide import require_action
from service.operations.generate_key import Generation
from service.operations.refusals import refusals_told
from service.policy.roles import Action
from service.ports.certificates import CertificateMaker
from service.ports.store import AuditTrail, KeyCatalog


@dataclass(frozen=True, slots=True)
class Certificates:
    acts: Acts
    catalog: KeyCatalog
    maker: CertificateMaker
    audit: AuditTrail

    def request(self, caller: Caller, name: str, number: int, subject: Subject) -> bytes:
        """Return a PKCS#10 request for a version, signed by its own key in the HSM.

        Raises:
            ForbiddenError, KeyNotFoundError, KeyNotUsableError, HSMUnavailableError,
            KeyMissingOnTokenError, PINRefusedError, SignatureCheckFailedError.
        """
        what = f"{name}/{number}"
        with refusals_told(self.audit, caller, what, "certificate request"):
            require_action(caller, Action.CERTIFY_KEY)
            version = certifiable(self.catalog, name, number)
            check_signs(version)
            details = {"subject": subject.text()}
            self.audit.append([AuditEvent("certificate.request-begun", caller.name, what, details)])
            return self.maker.request(version, subject)

    def install(self, caller: Caller, wanted: ChainImport) -> Performed | Approval:
        """Make a chain that others issued the version's. The value is the KeyVersion.

        Raises:
            ForbiddenError, KeyNotFoundError, KeyNotUsableError, CertificateChainRefusedError,
            CertificateSubjectTakenError.
        """
        act = wanted.act()
        with refusals_told(self.audit, caller, act.subject, act.kind.value):
            require_action(caller, Action.CERTIFY_KEY)
            return self.acts.request(caller, act)

    def self_sign(
        self, caller: Caller, wanted: SelfSigning, *, token: str | None
    ) -> Performed | Approval:
        """Certify a version by our own CA, or by itself. The value is the KeyVersion.

        The CA's key is made here if it is not there yet, on `token`, or where the version is.
        That is an act of its own: where policy asks for a quorum for it, its approval is what
        is answered, and this is to be asked for again afterwards.

        Raises:
            ForbiddenError, KeyNotFoundError, KeyNotUsableError, InvalidRequestError,
            UnsupportedAlgorithmError, CertificateAuthorityNotUsableError,
            CertificateSubjectTakenError, HSMUnavailableError, PINRefusedError.
        """
        act = wanted.act()
        with refusals_told(self.audit, caller, act.subject, act.kind.value):
            require_action(caller, Action.CERTIFY_KEY)
            if not wanted.lone and self.catalog.get(OWN_CA) is None:
                # What is refused anyway must not leave a CA behind.
                self.acts.performers[act.kind].check(act)
                version = certifiable(self.catalog, wanted.name, wanted.number)
                made = self.acts.request(caller, _ca_key(version, token))
                if isinstance(made, Approval):
                    return made
            return self.acts.request(caller, act)

    def active_version(self, name: str) -> int:
        """Return the number of the newest active version.

        Raises:
            KeyNotFoundError, KeyNotUsableError.
        """
        key = self.catalog.get(name)
        if key is None:
            raise KeyNotFoundError(f"there is no key {name!r}")
        active = key.active()
        if not active:
            raise KeyNotUsableError(f"no version of {name} is active")
        return active[-1].version

    def chain(self, name: str, number: int | None) -> CertificateChain:
        """Return the chain of a version, or of the newest active one.

        Raises:
            KeyNotFoundError, KeyNotUsableError, CertificateNotFoundError.
        """
        wanted = self.active_version(name) if number is None else number
        key = self.catalog.get(name)
        version = key.version(wanted) if key is not None else None
        if version is None:
            raise KeyNotFoundError(f"there is no key {name!r} with a version {wanted}")
        if version.chain is None:
            raise CertificateNotFoundError(f"{name} version {wanted} has no certificate")
        return version.chain


def _ca_key(version: KeyVersion, token: str | None) -> Act:
    """Where the version lies, and of its kind: there are HSMs that make no others."""
    place = token or (version.locations[0].token if version.locations else None)
    is_rsa = version.algorithm.value.startswith("rsa-")
    algorithm = Algorithm.RSA_3072 if is_rsa else Algorithm.EC_P256
    return Generation(OWN_CA, Purpose.CA, algorithm, place).act()
