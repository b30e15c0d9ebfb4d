"""Keys that others put on a token: found by their URI, and looked at before we rely on them.

What is found here is a claim. That the private key belongs to a public key is proven by a
signature, which is the caller's business, as it has the public key that counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import pkcs11
from pkcs11 import Attribute, ObjectClass

from hsm.errors import KeyAmbiguousError, KeyUnfitError
from hsm.keys import KeyAttributes, find, matching, read_attributes, told
from hsm.pool import Leased, TokenPool
from hsm.public import algorithm_of, subject_public_key_info
from hsm.tokens import serial_of
from hsm.uri import KeyURI


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A private key on a token. `public_key` is what the token says, if it says anything."""

    cka_id: bytes
    public_key: bytes | None
    token_label: str
    token_serial: str
    attributes: KeyAttributes


def locate(pool: TokenPool, uri: KeyURI) -> FoundKey:
    """Find the private key that the URI names, on a token whose label and serial fit.

    Raises:
        KeyMissingError, KeyAmbiguousError, KeyUnfitError, HSMUnavailableError, PINRefusedError
    """
    wanted = {Attribute.ID: uri.id, Attribute.LABEL: uri.object}
    template = {attribute: value for attribute, value in wanted.items() if value is not None}

    def operation(leased: Leased) -> FoundKey:
        session = leased.session
        token = session.token
        _check_token(token, uri)
        key = find(leased, template)
        cka_id = told(key, Attribute.ID)
        if not cka_id:
            # Signatures find their key by it.
            raise KeyUnfitError("the key has no CKA_ID: give it one with the token's own tools")
        if len(matching(session, ObjectClass.PRIVATE_KEY, cka_id)) != 1:
            raise KeyAmbiguousError("other private keys have the same CKA_ID as this one")
        if told(key, Attribute.ALWAYS_AUTHENTICATE):
            raise KeyUnfitError("the key wants the PIN for each signature (ALWAYS_AUTHENTICATE)")
        return FoundKey(
            cka_id=cka_id,
            public_key=_public_key(session, cka_id),
            token_label=token.label,
            token_serial=serial_of(token),
            attributes=read_attributes(key),
        )

    return pool.run(operation)


def _check_token(token: pkcs11.Token, uri: KeyURI) -> None:
    said = {"manufacturer": token.manufacturer_id, "model": token.model}
    for name, value in said.items():
        if getattr(uri, name) not in (None, value):
            raise KeyUnfitError(f"the token's {name} is {value!r}, and not what the URI says")


def _public_key(session: pkcs11.Session, cka_id: bytes) -> bytes | None:
    """Return what the public key object of this id says; None unless exactly one is of use."""
    found = matching(session, ObjectClass.PUBLIC_KEY, cka_id)
    if len(found) != 1:
        return None
    try:
        return subject_public_key_info(found[0], algorithm_of(found[0]))
    except (ValueError, pkcs11.AttributeTypeInvalid):
        return None
