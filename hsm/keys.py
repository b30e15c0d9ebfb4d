"""Private keys on a token: found by CKA_ID, made so that they cannot leave, destroyed.

A key that is not found is missing only if the token is still logged in, still answers, and a
second search finds nothing either: a lost login and a lost disk both look like "no such key".
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.constants import DEFAULT
from pkcs11.types import SignMixin

from hsm import watchdog
from hsm.errors import (
    KeyAlreadyExistsError,
    KeyAmbiguousError,
    KeyMissingError,
    KeyUnprotectedError,
    MechanismRefusedError,
    UnsupportedMechanismError,
)
from hsm.mechanisms import KEY_KINDS, Algorithm, KeyKind
from hsm.pool import Leased, TokenPool
from hsm.public import subject_public_key_info
from hsm.quirks import quirks
from hsm.tokens import close, probe_login, serial_of
from hsm.watchdog import Patience

CKA_ID_BYTES: Final = 20  # as long as the SHA-1 that others use; ours is random


@dataclass(frozen=True, slots=True)
class KeyAttributes:
    """What the token says of a private key; None where it does not say."""

    sensitive: bool | None
    extractable: bool | None
    always_sensitive: bool | None
    never_extractable: bool | None
    local: bool | None


@dataclass(frozen=True, slots=True)
class NewKey:
    cka_id: bytes
    public_key: bytes
    """DER SubjectPublicKeyInfo."""
    token_label: str
    token_serial: str
    attributes: KeyAttributes


# Never left to the vendor's defaults: CKA_EXTRACTABLE is true by default on some.
_DEMANDED: Final = MappingProxyType(
    {
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.SIGN: True,
    }
)
_WANTED: Final = MappingProxyType(
    {
        Attribute.DECRYPT: False,
        Attribute.UNWRAP: False,
        Attribute.DERIVE: False,
    }
)
_OPTIONAL: Final = MappingProxyType({Attribute.WRAP_WITH_TRUSTED: True, Attribute.COPYABLE: False})
_DROPPED: Final = MappingProxyType(
    {Attribute.DECRYPT: DEFAULT, Attribute.UNWRAP: DEFAULT, Attribute.DERIVE: DEFAULT}
)
_PUBLIC: Final = MappingProxyType(
    {Attribute.TOKEN: True, Attribute.VERIFY: True, Attribute.ENCRYPT: False, Attribute.WRAP: False}
)
_PUBLIC_LEAST: Final = MappingProxyType(
    {
        Attribute.TOKEN: True,
        Attribute.VERIFY: True,
        Attribute.ENCRYPT: DEFAULT,
        Attribute.WRAP: DEFAULT,
    }
)
# Most demanding first; vendors refuse what they do not know, each in words of its own.
_TEMPLATES: Final = (
    ({**_DEMANDED, **_WANTED, **_OPTIONAL}, _PUBLIC),
    ({**_DEMANDED, **_WANTED}, _PUBLIC),
    ({**_DEMANDED, **_DROPPED}, _PUBLIC_LEAST),
)
_TEMPLATE_REFUSED: Final = (
    pkcs11.ArgumentsBad,
    pkcs11.AttributeReadOnly,
    pkcs11.AttributeTypeInvalid,
    pkcs11.AttributeValueInvalid,
    pkcs11.TemplateInconsistent,
)


def private_key(leased: Leased, cka_id: bytes, key_type: KeyType) -> SignMixin:
    """Return the only private key with this id, from the session's cache where it can.

    Raises:
        KeyMissingError, KeyAmbiguousError, UnsupportedMechanismError: it cannot sign.
        pkcs11.PKCS11Error: the ladder's business.
    """
    key = leased.keys.get(cka_id)
    if key is None:
        key = find(leased, {Attribute.ID: cka_id})
        if not isinstance(key, SignMixin):
            raise UnsupportedMechanismError("the key on the token is not allowed to sign")
        leased.keys[cka_id] = key
    # Cached by python-pkcs11. A wrong kind is not left to the token: SoftHSM answers it
    # with CKR_GENERAL_ERROR, which looks like a broken connection.
    if key.key_type != key_type:
        raise UnsupportedMechanismError("the key on the token is of another kind")
    return key


def find(leased: Leased, wanted: Mapping[Attribute, Any]) -> Any:
    """Return the only private key with these attributes.

    Raises:
        KeyMissingError, KeyAmbiguousError
        pkcs11.PKCS11Error: the ladder's business.
    """
    template = {**wanted, Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    found = _objects(leased.session, template)
    if not found:
        probe_login(leased.session)
        token = leased.session.token.slot.get_token()
        found = _objects(leased.session, template)
        if not found:
            raise KeyMissingError(f"the token {token.label!r} does not hold the key")
    if len(found) > 1:
        names = " and ".join(f"CKA_{attribute.name}" for attribute in wanted)
        raise KeyAmbiguousError(f"{len(found)} private keys have the same {names}")
    return found[0]


def matching(session: pkcs11.Session, kind: ObjectClass, cka_id: bytes) -> list[Any]:
    return _objects(session, {Attribute.CLASS: kind, Attribute.ID: cka_id})


def _objects(session: pkcs11.Session, template: Mapping[Attribute, Any]) -> list[Any]:
    # The whole list: an unfinished search holds the session's lock.
    return list(session.get_objects(dict(template)))


def generate(
    pool: TokenPool, algorithm: Algorithm, *, label: str, cka_id: bytes | None = None
) -> NewKey:
    """Make a key pair on the token. `label` is for people; `cka_id` is random if not given.

    Raises:
        KeyAlreadyExistsError, KeyUnprotectedError, UnsupportedMechanismError,
        HSMUnavailableError, PINRefusedError
        MechanismRefusedError: the token says that it makes such keys, and does not.
    """
    wanted = secrets.token_bytes(CKA_ID_BYTES) if cka_id is None else cka_id
    made = False

    def operation(leased: Leased) -> NewKey:
        nonlocal made
        # Sessions of the pool are read-only; the login is the process's.
        session = leased.session.token.open(rw=True)
        try:
            if made:
                # An earlier attempt failed after the token was asked: what it may have
                # left belongs to nobody, because its public key was never returned.
                _destroy_all(session, wanted)
            elif matching(session, ObjectClass.PRIVATE_KEY, wanted):
                raise KeyAlreadyExistsError("a key with this CKA_ID exists on the token")
            made = True
            maker = session.token.manufacturer_id
            not_sent = quirks(library=leased.module.manufacturer, maker=maker).not_sent
            return _generate(session, algorithm, not_sent, label=label, cka_id=wanted)
        finally:
            close(session)

    try:
        return pool.run(operation)
    except UnsupportedMechanismError as error:
        mechanism = KEY_KINDS[algorithm].mechanism
        if isinstance(error.__cause__, pkcs11.MechanismInvalid) and _is_listed(pool, mechanism):
            raise MechanismRefusedError(str(error)) from error
        raise


def _is_listed(pool: TokenPool, mechanism: Mechanism) -> bool:
    return pool.run(lambda leased: mechanism in leased.session.token.slot.get_mechanisms())


def _generate(
    session: pkcs11.Session,
    algorithm: Algorithm,
    not_sent: frozenset[Attribute],
    *,
    label: str,
    cka_id: bytes,
) -> NewKey:
    kind = KEY_KINDS[algorithm]
    public, private = _key_pair(session, kind, not_sent, label=label, cka_id=cka_id)
    attributes = read_attributes(private)
    if attributes.extractable is not False or attributes.sensitive is not True:
        _destroy(public, private)
        raise KeyUnprotectedError("the token made a key that could leave it; it was destroyed")
    # Another process may have used the same id at the same moment; tokens allow that.
    if len(matching(session, ObjectClass.PRIVATE_KEY, cka_id)) != 1:
        _destroy(public, private)
        raise KeyAlreadyExistsError("a key with this CKA_ID exists on the token")
    try:
        encoded = subject_public_key_info(public, algorithm)
    except ValueError as error:
        _destroy(public, private)
        raise UnsupportedMechanismError("the token made a key of another kind") from error
    token = session.token
    return NewKey(cka_id, encoded, token.label, serial_of(token), attributes)


def _key_pair(
    session: pkcs11.Session,
    kind: KeyKind,
    not_sent: frozenset[Attribute],
    *,
    label: str,
    cka_id: bytes,
) -> tuple[pkcs11.Object, pkcs11.Object]:
    """Ask with the fullest template that the vendor takes."""
    refused: pkcs11.PKCS11Error | None = None
    left_out = dict.fromkeys(not_sent, DEFAULT)
    for private, public in _TEMPLATES:
        asked: dict[str, Any] = {
            "id": cka_id,
            "label": label,
            "store": True,
            "mechanism": kind.mechanism,
            "public_template": {**public, **left_out},
            "private_template": {**private, **left_out},
        }
        watchdog.begin(Patience.GENERATE)
        try:
            if kind.curve is None:
                return session.generate_keypair(kind.key_type, kind.bits, **asked)
            curve = {Attribute.EC_PARAMS: kind.curve}
            domain = session.create_domain_parameters(kind.key_type, curve, local=True)
            return domain.generate_keypair(**asked)
        except _TEMPLATE_REFUSED as error:
            refused = error
        finally:
            watchdog.begin()
    raise UnsupportedMechanismError("the token makes no such key pairs") from refused


def read_attributes(key: pkcs11.Object) -> KeyAttributes:
    """Read what the token says of a private key."""

    def said(attribute: Attribute) -> bool | None:
        value = told(key, attribute)
        return None if value is None else bool(value)

    return KeyAttributes(
        sensitive=said(Attribute.SENSITIVE),
        extractable=said(Attribute.EXTRACTABLE),
        always_sensitive=said(Attribute.ALWAYS_SENSITIVE),
        never_extractable=said(Attribute.NEVER_EXTRACTABLE),
        local=said(Attribute.LOCAL),
    )


def told(key: pkcs11.Object, attribute: Attribute) -> Any:
    """Read one attribute, or None where the vendor leaves it out. One by one for that reason."""
    try:
        return key[attribute]
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive, pkcs11.FunctionFailed):
        return None


def holds(pool: TokenPool, cka_id: bytes) -> bool:
    """Tell whether the token holds exactly one private key with this id.

    Raises:
        HSMUnavailableError, PINRefusedError
    """

    def operation(leased: Leased) -> bool:
        try:
            find(leased, {Attribute.ID: cka_id})
        except (KeyMissingError, KeyAmbiguousError):
            return False
        return True

    return pool.run(operation)


def attributes_of(pool: TokenPool, cka_id: bytes) -> KeyAttributes:
    """Read again what the token says of the key.

    Raises:
        KeyMissingError, KeyAmbiguousError, HSMUnavailableError, PINRefusedError
    """
    return pool.run(lambda leased: read_attributes(find(leased, {Attribute.ID: cka_id})))


def destroy(pool: TokenPool, cka_id: bytes) -> None:
    """Destroy the key pair with this id, for good.

    Raises:
        KeyMissingError, KeyAmbiguousError, HSMUnavailableError, PINRefusedError
        UnsupportedMechanismError: the token does not let go of the key.
    """

    def operation(leased: Leased) -> None:
        # Not left to the token: CKR_ACTION_PROHIBITED comes out like a broken connection.
        if told(find(leased, {Attribute.ID: cka_id}), Attribute.DESTROYABLE) is False:
            raise UnsupportedMechanismError("the key is one that its token never destroys")
        session = leased.session.token.open(rw=True)
        try:
            _destroy_all(session, cka_id)
            if matching(session, ObjectClass.PRIVATE_KEY, cka_id):
                raise UnsupportedMechanismError("the token did not destroy the key")
        finally:
            close(session)
        pool.distrust(leased.generation)

    pool.run(operation)


def _destroy_all(session: pkcs11.Session, cka_id: bytes) -> None:
    # The private key last: as long as it is there, this is done again.
    for kind in (ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY):
        _destroy(*matching(session, kind, cka_id))


def _destroy(*objects: pkcs11.Object) -> None:
    for each in objects:
        each.destroy()
