"""Keys that somebody else's tools put on a token: none of our templates, ids and checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, ObjectClass

import hsm
from hsm import module as modules
from hsm.mechanisms import KEY_KINDS
from hsm.tokens import find_token
from tests.support.softhsm import TokenFixture


@contextmanager
def session_on(token: TokenFixture) -> Iterator[pkcs11.Session]:
    """A read-write session of our own process, logged in."""
    module = modules.load(token.module)
    # A token that another process has just made shows only after this.
    module.reinit(module.epoch)
    with module.use():
        found = find_token(module, token.label, token.serial)
        session = found.open(rw=True)
        try:
            module.login(session, token.pin_file.read_text())
            yield session
        finally:
            session.close()


def foreign_key(
    token: TokenFixture,
    *,
    label: str,
    cka_id: bytes,
    algorithm: hsm.Algorithm = hsm.Algorithm.EC_P256,
    private: Mapping[Attribute, Any] | None = None,
    keep_public: bool = True,
) -> None:
    kind = KEY_KINDS[algorithm]
    asked: dict[str, Any] = {
        "id": cka_id,
        "label": label,
        "store": True,
        "mechanism": kind.mechanism,
        "private_template": {Attribute.EXTRACTABLE: False, **(private or {})},
    }
    with session_on(token) as session:
        if kind.curve is None:
            public, _ = session.generate_keypair(KeyType.RSA, kind.bits, **asked)
        else:
            curve = {Attribute.EC_PARAMS: kind.curve}
            domain = session.create_domain_parameters(kind.key_type, curve, local=True)
            public, _ = domain.generate_keypair(**asked)
        if not keep_public:
            public.destroy()


def private_keys(token: TokenFixture, cka_id: bytes) -> int:
    wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: cka_id}
    with session_on(token) as session:
        return len(list(session.get_objects(wanted)))
