"""Whose signatures count beside our own: the keys of an organisation's other signers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.domain.public_keys import PublicKey


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A public key that is not ours, and what it is called here."""

    name: str
    key: PublicKey


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    keys: tuple[ForeignKey, ...] = ()

    def named(self, spki: bytes) -> ForeignKey | None:
        """Return the key of this DER, if the policy names it."""
        return next((one for one in self.keys if one.key.der == spki), None)


def parse_trust(section: Mapping[object, object], faults: list[str]) -> TrustPolicy:
    """Read `keys: [{name, public_key}]`, each key in PEM; what is wrong is added to `faults`."""
    listed = section.get("keys", [])
    if not isinstance(listed, list):
        faults.append("trust.keys must be a list")
        return TrustPolicy()
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
    return TrustPolicy(tuple(keys))
