"""Keys, their versions, and the table of states (docs/architecture.md, "Keys")."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from service.domain.certificates import CertificateChain
from service.domain.errors import InvalidRequestError, UnsupportedAlgorithmError
from service.domain.limits import MAX_NAME_CHARS

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")


def parse_name(text: str, what: str = "name") -> str:
    """Return `text` if it can name a key or a credential: lower case, digits, `. _ -` inside.

    Raises:
        InvalidRequestError: it cannot.
    """
    if len(text) > MAX_NAME_CHARS or not _NAME.fullmatch(text):
        rule = f"1 to {MAX_NAME_CHARS} of a-z 0-9 . _ - that begin and end with a letter or digit"
        raise InvalidRequestError(f"not a {what}: {text[:100]!r}", errors={what: [rule]})
    return text


class Purpose(StrEnum):
    """What a key may sign. Purposes never mix: cosign takes any attestation for a signature."""

    IMAGE = "image"
    ATTESTATION = "attestation"
    LOG = "log"
    TIMESTAMP = "timestamp"
    CA = "ca"
    """Ours alone: it certifies signers, and no caller makes it, or has anything signed by it."""


CALLERS_PURPOSES: Final = tuple(purpose for purpose in Purpose if purpose is not Purpose.CA)
OWN_CA: Final = "own-ca"
"""The name of our own CA's key: one CA is enough."""


def check_name_for(name: str, purpose: Purpose) -> None:
    """Raises InvalidRequestError where a key of this purpose cannot have the name."""
    parse_name(name)
    if (name == OWN_CA) is not (purpose is Purpose.CA):
        raise InvalidRequestError(
            f"{OWN_CA} is the name of our own CA's key, and of no other",
            errors={"name": ["kept for our own CA"]},
        )


class Algorithm(StrEnum):
    """What kind of key pair a key is."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ED25519 = "ed25519"


FITS: Final = MappingProxyType(
    {
        Purpose.IMAGE: frozenset(Algorithm),
        Purpose.ATTESTATION: frozenset(Algorithm),
        # The only kind whose log every client accepts.
        Purpose.LOG: frozenset({Algorithm.EC_P256}),
        # Time stamps of other kinds are refused by notation, cosign or openssl.
        Purpose.TIMESTAMP: frozenset(
            {
                Algorithm.EC_P256,
                Algorithm.EC_P384,
                Algorithm.RSA_2048,
                Algorithm.RSA_3072,
                Algorithm.RSA_4096,
            }
        ),
        # What every verifier takes from a CA.
        Purpose.CA: frozenset(
            {Algorithm.EC_P256, Algorithm.EC_P384, Algorithm.RSA_3072, Algorithm.RSA_4096}
        ),
    }
)
"""Which kinds of key pair serve a purpose; a purpose that is not in the table has none."""


def check_fit(purpose: Purpose, algorithm: Algorithm) -> None:
    """Raises UnsupportedAlgorithmError unless keys of this purpose may be of this kind."""
    fitting = FITS.get(purpose, frozenset[Algorithm]())
    if algorithm not in fitting:
        kinds = ", ".join(kind.value for kind in Algorithm if kind in fitting)
        raise UnsupportedAlgorithmError(
            f"a {purpose} key is of one of these kinds: {kinds}; {algorithm} is none that its "
            "verifiers accept"
        )


class Scheme(StrEnum):
    """How bytes are signed: key kind, padding, and the hash made in software.

    ECDSA signatures are ASN.1 DER (RFC 3279, 2.2.3), PSS salts are as long as the hash,
    Ed25519 is pure (RFC 8032) over the whole message.
    """

    ECDSA_P256_SHA256 = "ecdsa-p256-sha256"
    ECDSA_P384_SHA256 = "ecdsa-p384-sha256"
    ECDSA_P384_SHA384 = "ecdsa-p384-sha384"
    RSA_PKCS1_SHA256 = "rsa-pkcs1v15-sha256"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    RSA_PSS_SHA384 = "rsa-pss-sha384"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    ED25519 = "ed25519"


class KeyState(StrEnum):
    STAGED = "staged"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"


NEXT_STATES: Final = MappingProxyType(
    {
        KeyState.STAGED: frozenset({KeyState.ACTIVE, KeyState.COMPROMISED, KeyState.DESTROYED}),
        KeyState.ACTIVE: frozenset({KeyState.SUSPENDED, KeyState.RETIRED, KeyState.COMPROMISED}),
        KeyState.SUSPENDED: frozenset({KeyState.ACTIVE, KeyState.RETIRED, KeyState.COMPROMISED}),
        KeyState.RETIRED: frozenset({KeyState.COMPROMISED, KeyState.DESTROYED}),
        KeyState.COMPROMISED: frozenset({KeyState.DESTROYED}),
        KeyState.DESTROYED: frozenset(),
    }
)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the token says of the private key; None where it does not say."""

    sensitive: bool | None = None
    extractable: bool | None = None
    always_sensitive: bool | None = None
    never_extractable: bool | None = None
    local: bool | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """Where a private key lies: the token, by label and serial."""

    token: str
    serial: str
    state: str = "present"


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One key pair. `public_key` (DER SubjectPublicKeyInfo) is pinned when it is made."""

    key: str
    version: int
    purpose: Purpose
    algorithm: Algorithm
    state: KeyState
    cka_id: bytes
    public_key: bytes
    locations: tuple[Location, ...]
    created_at: datetime
    attributes: Attributes = field(default_factory=Attributes)
    compromised_since: datetime | None = None
    ever_compromised: bool = False
    compromise_reason: str | None = None
    alongside: bool = False
    """Made to be active beside others, not in their place."""
    chain: CertificateChain | None = None
    """The certificates of its public key, where it has any."""

    @property
    def subject(self) -> str:
        """How records and people name it: `release/3`."""
        return f"{self.key}/{self.version}"

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the SubjectPublicKeyInfo."""
        return sha256(self.public_key).hexdigest()

    @property
    def has_a_future(self) -> bool:
        """Whether it signs, or may yet: what is over needs no certificate."""
        return self.state in {KeyState.STAGED, KeyState.ACTIVE, KeyState.SUSPENDED}

    @property
    def trusted(self) -> bool:
        """Whether signatures by this version count; a compromise outlives the state."""
        return not self.ever_compromised and self.state is not KeyState.COMPROMISED


@dataclass(frozen=True, slots=True)
class Key:
    """A name with a purpose, and its versions in ascending order."""

    name: str
    purpose: Purpose
    algorithm: Algorithm
    created_at: datetime
    versions: tuple[KeyVersion, ...] = ()

    def active(self) -> tuple[KeyVersion, ...]:
        return tuple(v for v in self.versions if v.state is KeyState.ACTIVE)

    def version(self, number: int) -> KeyVersion | None:
        return next((v for v in self.versions if v.version == number), None)

    def newest(self) -> int:
        """Return the number of the newest version; 0 before there is one."""
        return self.versions[-1].version if self.versions else 0


@dataclass(frozen=True, slots=True)
class GeneratedKey:
    """What a token gives back for a new key pair."""

    cka_id: bytes
    public_key: bytes
    location: Location
    attributes: Attributes
