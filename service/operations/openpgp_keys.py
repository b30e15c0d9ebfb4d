"""Public keys in OpenPGP's form, each certified by itself, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.errors import HSMUnavailableError, KeyNotUsableError, ServiceError
from service.domain.keys import KeyVersion, Purpose
from service.domain.public_keys import public_key
from service.formats.openpgp import message as openpgp
from service.formats.openpgp.form import key_packet, user_id
from service.ports.hsm import Signer, ToSign
from service.ports.store import KeyCertifications


@dataclass(frozen=True, slots=True)
class OpenPGPKeys:
    certifications: KeyCertifications
    signer: Signer

    def key_file(self, versions: Sequence[KeyVersion]) -> bytes:
        """Return the keys as one file for GPG and containers/image, not armored.

        Raises:
            KeyNotUsableError: the key is not for images.
            HSMUnavailableError, …: a key has never certified itself, and cannot now.
        """
        return b"".join(
            openpgp.transferable_key(key_packet(v), user_id(v), self.certified(v)) for v in versions
        )

    def certified(self, version: KeyVersion) -> bytes:
        """Return the version's certification of itself, made now if it never was.

        Nobody can choose what is signed here, and it is signed once: a caller who is not
        authenticated cannot keep the token busy. Raises as `key_file`.
        """
        kept = self.certifications.get(version)
        if kept is not None:
            return kept
        if version.purpose is not Purpose.IMAGE:
            raise KeyNotUsableError(f"{version.key} is a key for {version.purpose}, not for images")
        packet = key_packet(version)
        message = openpgp.message(
            openpgp.certification_payload(packet, user_id(version)), packet.scheme
        )

        def check(signature: bytes) -> None:
            public_key(version.public_key).verify(packet.scheme, message, signature)

        [made] = self.signer.sign(version, packet.scheme, [ToSign(message, check)])
        if isinstance(made, ServiceError):
            if isinstance(made, HSMUnavailableError):
                raise made
            raise HSMUnavailableError(f"{version.subject} cannot certify itself") from made
        return self.certifications.keep(version, made)
