"""Whose signatures count beside our own: keys, certificates and stores of other signers.

`keys` are named once. Each of `policies` is about the repositories of its patterns, and says whose
signatures count there; the first that covers a repository is in force. Where none does, our own
keys count, and nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from service.domain.errors import InvalidRequestError
from service.domain.public_keys import PublicKey
from service.domain.subjects import Subject
from service.domain.x509_names import parse_subject
from service.policy.patterns import any_matches, matches

_POLICY_FIELDS: Final = (
    {"name", "repositories", "our_keys"},
    {"keys", "identities", "trusted_root", "notation"},
)
_SUBJECT: Final = "x509.subject:"
_SPACES: Final = re.compile(r"(?<!\\),\s+")  # notation writes them, RFC 4514 does not


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A public key that is not ours, and what it is called here."""

    name: str
    key: PublicKey


@dataclass(frozen=True, slots=True)
class CertificateIdentity:
    """Whom a keyless certificate must be for, as a pattern, and exactly who vouches."""

    name: str
    issuer: str

    def covers(self, name: str, issuer: str | None) -> bool:
        return issuer == self.issuer and matches(self.name, name)


@dataclass(frozen=True, slots=True)
class NotationTrust:
    """A trust store of notation: roots in DER, and the subjects that are trusted under them.

    No subjects: everybody under these roots.
    """

    roots: tuple[bytes, ...]
    subjects: tuple[Subject, ...]
    time_roots: tuple[bytes, ...] = ()
    """Of time stampers."""


@dataclass(frozen=True, slots=True)
class RepositoryTrust:
    """Whose signatures count in the repositories that the patterns cover."""

    name: str
    repositories: tuple[str, ...]
    our_keys: bool
    keys: tuple[ForeignKey, ...] = ()
    identities: tuple[CertificateIdentity, ...] = ()
    trusted_root: bytes | None = None
    """Sigstore's document; None is the public one. It is read where it is used."""
    notation: NotationTrust | None = None


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    keys: tuple[ForeignKey, ...] = ()
    policies: tuple[RepositoryTrust, ...] = ()

    def named(self, spki: bytes) -> ForeignKey | None:
        """Return the key of this DER, if the policy names it."""
        return next((one for one in self.keys if one.key.der == spki), None)

    def of_repository(self, repository: str) -> RepositoryTrust | None:
        """Return the first policy that covers a repository (`host/name`)."""
        return next((p for p in self.policies if any_matches(p.repositories, repository)), None)


def parse_trust(section: Mapping[object, object], faults: list[str]) -> TrustPolicy:
    """Read `keys: [{name, public_key}]` and `policies`; what is wrong is added to `faults`."""
    keys = _keys(_list(section, "trust", "keys", faults), faults)
    policies = []
    for number, entry in enumerate(_list(section, "trust", "policies", faults)):
        read = _policy(entry, f"trust.policies[{number}]", keys, faults)
        if read is not None:
            policies.append(read)
    if len({one.name for one in policies}) != len(policies):
        faults.append("trust.policies names a policy twice")
    return TrustPolicy(keys, tuple(policies))


def _keys(listed: Sequence[object], faults: list[str]) -> tuple[ForeignKey, ...]:
    keys = []
    for number, entry in enumerate(listed):
        where = f"trust.keys[{number}]"
        if not isinstance(entry, Mapping) or set(entry) != {"name", "public_key"}:
            faults.append(f"{where} must have name and public_key, and nothing else")
            continue
        name, pem = entry["name"], entry["public_key"]
        if not isinstance(name, str) or not name or not isinstance(pem, str):
            faults.append(f"{where}: name and public_key must be text")
            continue
        try:
            keys.append(ForeignKey(name, PublicKey.parse_pem(pem)))
        except ValueError as error:
            faults.append(f"{where}.public_key: {error}")
    if len({one.name for one in keys}) != len(keys) or len({k.key.der for k in keys}) != len(keys):
        faults.append("trust.keys names a key twice")
    return tuple(keys)


def _policy(
    entry: object, where: str, known: Sequence[ForeignKey], faults: list[str]
) -> RepositoryTrust | None:
    fields = _fields(entry, where, _POLICY_FIELDS, faults)
    if fields is None:
        return None
    before = len(faults)
    name = _text(fields["name"], f"{where}.name", faults)
    repositories = _texts(fields["repositories"], f"{where}.repositories", faults)
    our_keys = fields["our_keys"]
    if not isinstance(our_keys, bool):
        faults.append(f"{where}.our_keys must be true or false")
    keys = _named_keys(_list(fields, where, "keys", faults), known, f"{where}.keys", faults)
    identities = _identities(_list(fields, where, "identities", faults), where, faults)
    root = fields.get("trusted_root")
    if root is not None:
        root = _text(root, f"{where}.trusted_root", faults).encode()
        if not identities:
            faults.append(f"{where}.trusted_root is for identities, and there are none")
    notation = None
    if fields.get("notation") is not None:
        notation = _notation(fields["notation"], f"{where}.notation", faults)
    if our_keys is False and not (keys or identities or fields.get("notation")):
        faults.append(f"{where} trusts nobody")
    if len(faults) > before:
        return None
    return RepositoryTrust(name, repositories, our_keys is True, keys, identities, root, notation)


def _named_keys(
    names: Sequence[object], known: Sequence[ForeignKey], where: str, faults: list[str]
) -> tuple[ForeignKey, ...]:
    by_name = {one.name: one for one in known}
    faults.extend(
        f"{where}: trust.keys has no {str(name)[:100]!r}"
        for name in names
        if not isinstance(name, str) or name not in by_name
    )
    return tuple(by_name[name] for name in names if isinstance(name, str) and name in by_name)


def _identities(
    listed: Sequence[object], where: str, faults: list[str]
) -> tuple[CertificateIdentity, ...]:
    found = []
    for number, entry in enumerate(listed):
        place = f"{where}.identities[{number}]"
        fields = _fields(entry, place, ({"name", "issuer"}, set()), faults)
        if fields is not None:
            name = _text(fields["name"], f"{place}.name", faults)
            issuer = _text(fields["issuer"], f"{place}.issuer", faults)
            found.append(CertificateIdentity(name, issuer))
    return tuple(found)


def _notation(entry: object, where: str, faults: list[str]) -> NotationTrust | None:
    fields = _fields(entry, where, ({"roots", "identities"}, {"time_roots"}), faults)
    if fields is None:
        return None
    roots = _roots(fields["roots"], f"{where}.roots", faults)
    time_roots: tuple[bytes, ...] = ()
    if fields.get("time_roots") is not None:
        time_roots = _roots(fields["time_roots"], f"{where}.time_roots", faults)
    identities = _texts(fields["identities"], f"{where}.identities", faults)
    if "*" in identities:
        if len(identities) > 1:
            faults.append(f"{where}.identities: `*` stands alone")
        return NotationTrust(roots, (), time_roots)
    subjects = []
    for text in identities:
        if not text.startswith(_SUBJECT):
            faults.append(f"{where}.identities: {text[:100]!r} is not `{_SUBJECT} …`, nor `*`")
            continue
        try:
            subject = parse_subject(_SPACES.sub(",", text.removeprefix(_SUBJECT).strip()))
        except InvalidRequestError as error:
            faults.append(f"{where}.identities: {text[:100]!r}: {error}")
            continue
        faults.extend(f"{where}.identities: {text[:100]!r}: {why}" for why in subject.faults())
        subjects.append(subject)
    return NotationTrust(roots, tuple(subjects), time_roots)


def _roots(value: object, where: str, faults: list[str]) -> tuple[bytes, ...]:
    """Read certificates in PEM, any number in one text."""
    try:
        found = x509.load_pem_x509_certificates(_text(value, where, faults).encode())
    except ValueError:
        faults.append(f"{where} must be certificates in PEM")
        return ()
    return tuple(one.public_bytes(Encoding.DER) for one in found)


def _fields(
    entry: object, where: str, known: tuple[set[str], set[str]], faults: list[str]
) -> Mapping[str, object] | None:
    """Return a mapping that has every field of the first set, and no other than of both."""
    required, optional = known
    if not isinstance(entry, Mapping):
        faults.append(f"{where} must be a mapping")
        return None
    missing, unknown = required - set(entry), set(entry) - required - optional
    faults.extend(f"{where} has no field {name!r}" for name in sorted(missing))
    faults.extend(f"{where} has an unknown field {name!r}" for name in sorted(map(str, unknown)))
    return None if missing or unknown else entry


def _list(
    section: Mapping[str, object] | Mapping[object, object],
    where: str,
    name: str,
    faults: list[str],
) -> Sequence[object]:
    value = dict(section).get(name, [])
    if not isinstance(value, list):
        faults.append(f"{where}.{name} must be a list")
        return []
    return value


def _texts(value: object, where: str, faults: list[str]) -> tuple[str, ...]:
    if isinstance(value, list) and value and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    faults.append(f"{where} must be a list of text, and not empty")
    return ()


def _text(value: object, where: str, faults: list[str]) -> str:
    if isinstance(value, str) and value:
        return value
    faults.append(f"{where} must be text")
    return ""
