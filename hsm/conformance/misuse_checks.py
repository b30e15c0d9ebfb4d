"""What a token should refuse: hashes that are none, keys of another kind, PINs that are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, TokenFlag

from hsm.conformance.bench import LABEL, private_key, raw_sign
from hsm.conformance.results import Found, Verdict
from hsm.ladder import Rung, rung
from hsm.login import PIN
from hsm.mechanisms import KEY_KINDS, RECIPES
from hsm.tokens import close, find_token

if TYPE_CHECKING:
    from hsm.conformance.bench import Bench

_TOO_LONG: Final = 1000  # bytes: longer than any hash, and than what fits under a modulus
_COUNT_FLAGS: Final = TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY


def hash_length(bench: Bench) -> Found:
    """Give it what is no hash. PKCS#11 lets CKM_ECDSA cut what is long, RSA must refuse it."""
    made, scheme = bench.any_key()
    recipe = RECIPES[scheme]
    signed = []
    with bench.session() as session:
        key = private_key(session, made)
        for length in (0, _TOO_LONG):
            try:
                key.sign(bytes(length), mechanism=recipe.mechanism)
            except pkcs11.PKCS11Error:
                continue
            signed.append(length)
    if recipe.key_type is KeyType.RSA and _TOO_LONG in signed:
        return Found(Verdict.LIES, f"signs {_TOO_LONG} bytes with {recipe.mechanism.name}")
    if signed:
        lengths = " and ".join(map(str, signed))
        return Found(Verdict.LACKS, f"signs a hash of {lengths} bytes: the check is ours")
    return Found(Verdict.WORKS, "refuses what is no hash")


def wrong_kind(bench: Bench) -> Found:
    """Sign with the mechanism of another kind of key."""
    made, scheme = bench.any_key()
    other = Mechanism.RSA_PKCS if RECIPES[scheme].key_type is KeyType.EC else Mechanism.ECDSA
    with bench.session() as session:
        key = private_key(session, made)
        try:
            key.sign(bytes(32), mechanism=other)
        except pkcs11.PKCS11Error as error:
            name = type(error).__name__
            if rung(error) is Rung.CALLER:
                return Found(Verdict.WORKS, f"{other.name} is refused: {name}")
            return Found(Verdict.LIES, f"{other.name} is answered like a broken connection: {name}")
    return Found(Verdict.LIES, f"signs by {other.name} with a key of another kind")


def always_authenticate(bench: Bench) -> Found:
    """A key that wants the PIN for each signature, which we do not adopt, must not sign without."""
    _, scheme = bench.any_key()
    kind = next(k for k in KEY_KINDS.values() if k.key_type is RECIPES[scheme].key_type)
    private = {Attribute.ALWAYS_AUTHENTICATE: True, Attribute.PRIVATE: True}
    asked: dict[str, Any] = {"label": LABEL, "mechanism": kind.mechanism}
    with bench.session() as session:
        try:
            if kind.curve is None:
                pair = session.generate_keypair(
                    kind.key_type, kind.bits, private_template=private, **asked
                )
            else:
                domain = session.create_domain_parameters(
                    kind.key_type, {Attribute.EC_PARAMS: kind.curve}, local=True
                )
                pair = domain.generate_keypair(private_template=private, **asked)
            if pair[1][Attribute.ALWAYS_AUTHENTICATE] is not True:
                return Found(Verdict.LACKS, "makes no such keys, and says so")
        except pkcs11.PKCS11Error as error:
            return Found(Verdict.LACKS, f"makes no such keys: {type(error).__name__}")
        try:
            raw_sign(pair[1], scheme, b"without the PIN")
        except pkcs11.PKCS11Error as error:
            return Found(Verdict.WORKS, f"wants the PIN: {type(error).__name__}")
    return Found(Verdict.LIES, "has the attribute, and signs without the PIN")


def wrong_pin(bench: Bench) -> Found:
    """Spend one try of the PIN, and log in with the right one."""
    right = PIN.read(bench.pool.address.pin_file).reveal()
    wrong = right[:-1] + ("1" if right[-1] != "1" else "2")
    # Nobody is logged in then: a module takes any PIN of somebody who is.
    bench.module.reinit(bench.module.epoch)
    address = bench.pool.address
    with bench.module.use():
        token = find_token(bench.module, address.label, address.serial)
        if token.flags & (_COUNT_FLAGS | TokenFlag.USER_PIN_LOCKED):
            return Found(Verdict.FAILS, "not tried: there were wrong PINs before")
        session = token.open()
        try:
            bench.module.login(session, wrong)
        except pkcs11.PKCS11Error as error:
            said, known = type(error).__name__, rung(error) is Rung.PIN
        else:
            return Found(Verdict.LIES, "takes a wrong PIN")
        finally:
            close(session)
        flags = token.slot.get_token().flags
    shown = [flag.name.lower() for flag in TokenFlag if flag in flags & _COUNT_FLAGS and flag.name]
    bench.pool.run(lambda leased: leased.session.token)
    text = f"{said}; then {', '.join(shown) or 'no flag counts the tries'}; the right one is taken"
    if not known:
        return Found(Verdict.FAILS, f"a wrong PIN is not told from a broken connection: {text}")
    return Found(Verdict.WORKS, text)
