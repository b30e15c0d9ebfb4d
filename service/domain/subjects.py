"""Distinguished names of certificates, and when two of them cannot be told apart.

The Notary Project trusts a signer by the attributes of its certificate's subject
(trust-store-trust-policy.md, "Trusted Identities Constraints"; notation-go, internal/pkix): a
policy names some of them, and a certificate fits that has these and perhaps more. So a subject
that has everything another has cannot be trusted without that other, and a policy that names
both is refused as overlapping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TYPES: Final = ("C", "ST", "L", "STREET", "POSTALCODE", "O", "OU", "SERIALNUMBER", "CN")
"""Every attribute that notation can match, in the order of a subject that we write: Go prints
any other as `OID=#HEX` (crypto/x509/pkix), which notation refuses."""

MANDATORY: Final = ("C", "ST", "O")


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject: (type, value) in the order of the certificate, most significant first.

    A type is a name of `TYPES`, or an OID in dots where no name is known here.
    `service.domain.x509_names` makes them.
    """

    attributes: tuple[tuple[str, str], ...]

    def text(self) -> str:
        """Return it as RFC 4514 writes names: the most significant attribute last."""
        pairs = (f"{name}={_escaped(value)}" for name, value in reversed(self.attributes))
        return ",".join(pairs)

    def get(self, name: str) -> str | None:
        return dict(self.attributes).get(name)

    def faults(self) -> tuple[str, ...]:
        """Say why notation could not match it by `trustedIdentities`; nothing means it can."""
        names = [name for name, _ in self.attributes]
        found = [f"it has no {name}" for name in MANDATORY if not self.get(name)]
        found += [f"it has more than one {name}" for name in TYPES if names.count(name) > 1]
        found += [
            f"it has an attribute of type {name}, which notation cannot match"
            for name in dict.fromkeys(names)
            if name not in TYPES
        ]
        if any("=#" in value for _, value in self.attributes):
            found.append("a value holds `=#`, which notation does not read")
        return tuple(found)

    def covers(self, other: Subject) -> bool:
        """Whether it has every attribute of `other`, as verifiers compare them."""
        return other._comparable() <= self._comparable()

    def _comparable(self) -> frozenset[tuple[str, str]]:
        # RFC 5280, 7.1: neither case nor the number of spaces tells names apart.
        return frozenset(
            (name, " ".join(value.casefold().split())) for name, value in self.attributes
        )


def _escaped(value: str) -> str:
    """RFC 4514, 2.4."""
    text = value.replace("\\", "\\\\")
    for character in ',+"<>;=':
        text = text.replace(character, f"\\{character}")
    if text.startswith(("#", " ")):
        text = f"\\{text}"
    if text.endswith(" ") and not text.endswith("\\ "):
        text = f"{text[:-1]}\\ "
    return text.replace("\0", "\\00")
