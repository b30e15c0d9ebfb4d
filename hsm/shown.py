"""What a token shows to somebody who has no PIN: the public halves of its keys."""

from __future__ import annotations

import pkcs11
from pkcs11 import Attribute, ObjectClass

from hsm.errors import HSMUnavailableError
from hsm.module import load
from hsm.public import algorithm_of, subject_public_key_info
from hsm.tokens import TokenAddress, close, find_token


def public_keys(address: TokenAddress) -> dict[bytes, bytes]:
    """Return the public keys (DER SubjectPublicKeyInfo) by CKA_ID; nobody logs in.

    Raises:
        HSMUnavailableError, TokenAbsentError
    """
    module = load(address.module, address.init_args)
    found: dict[bytes, bytes] = {}
    try:
        with module.use():
            session = find_token(module, address.label, address.serial).open()
            try:
                for key in list(session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY})):
                    try:
                        told = subject_public_key_info(key, algorithm_of(key))
                    except (ValueError, pkcs11.AttributeTypeInvalid):
                        continue  # of a kind that we do not use
                    found[key[Attribute.ID]] = told
            finally:
                close(session)
    except pkcs11.PKCS11Error as error:
        raise HSMUnavailableError(f"the token {address.label!r} does not answer") from error
    return found
