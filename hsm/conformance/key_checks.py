"""Keys: made, told of, signed with, destroyed, and kept inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from hsm.conformance.bench import SCHEMES_OF, private_key
from hsm.conformance.results import Found, Verdict
from hsm.errors import UnsupportedMechanismError
from hsm.keys import destroy, matching
from hsm.ladder import Rung, rung
from hsm.mechanisms import KEY_KINDS, RECIPES, Algorithm

if TYPE_CHECKING:
    from hsm.conformance.bench import Bench

_IV: Final = bytes(16)
_KEK_BITS: Final = 256
# How keys are wrapped, and with which parameter.
_WRAPPINGS: Final = (
    (Mechanism.AES_KEY_WRAP, None),
    (Mechanism.AES_KEY_WRAP_PAD, None),
    (Mechanism.AES_CBC_PAD, _IV),
    (Mechanism.AES_CBC, _IV),
    (Mechanism.AES_ECB, None),
)


def kind_of(algorithm: Algorithm) -> Callable[[Bench], Found]:
    """Return the check of one kind of key, by each of its schemes."""

    def check(bench: Bench) -> Found:
        with bench.session() as session:
            listed = session.token.slot.get_mechanisms()
        try:
            made = bench.key(algorithm)
        except UnsupportedMechanismError as error:
            if KEY_KINDS[algorithm].mechanism in listed and _says_no(error, algorithm):
                return Found(Verdict.LIES, "lists the mechanism, and makes no such key")
            return Found(Verdict.LACKS, "makes no such key")
        signs, refuses = [], []
        for scheme in SCHEMES_OF[algorithm]:
            try:
                bench.sign(made, scheme, [b"a message", b""])
                signs.append(scheme)
            except UnsupportedMechanismError:
                refuses.append(scheme)
        lies = [s for s in refuses if RECIPES[s].mechanism in listed]
        said = f"signs {', '.join(signs) or 'nothing'}"
        if refuses:
            said += f"; refuses {', '.join(refuses)}"
        return Found(Verdict.LIES if lies or not signs else Verdict.WORKS, said)

    return check


def _says_no(error: UnsupportedMechanismError, algorithm: Algorithm) -> bool:
    # One mechanism makes curves and moduli that a token need not all have.
    return not isinstance(
        error.__cause__,
        pkcs11.DomainParamsInvalid | pkcs11.KeySizeRange | pkcs11.AttributeValueInvalid,
    )


def signing(bench: Bench) -> Found:
    made, scheme = bench.any_key()
    bench.sign(made, scheme, [b"a message"])
    return Found(Verdict.WORKS, scheme)


def protection(bench: Bench) -> Found:
    """A key was asked for as sensitive and not extractable: does the token say that it is?"""
    made, _ = bench.any_key()
    said = made.attributes
    text = f"sensitive {_word(said.sensitive)}, extractable {_word(said.extractable)}"
    if said.sensitive is not True or said.extractable is not False:
        return Found(Verdict.FAILS, text)
    return Found(Verdict.WORKS, text)


def history(bench: Bench) -> Found:
    """The key was made on the token a moment ago, and has never been anything else."""
    made, _ = bench.any_key()
    said = {
        "always_sensitive": made.attributes.always_sensitive,
        "never_extractable": made.attributes.never_extractable,
        "local": made.attributes.local,
    }
    text = ", ".join(f"{name} {_word(value)}" for name, value in said.items())
    if False in said.values():
        return Found(Verdict.LIES, text)
    return Found(Verdict.LACKS if None in said.values() else Verdict.WORKS, text)


def secrecy(bench: Bench) -> Found:
    """Read the private value, and try to make the key extractable."""
    made, _ = bench.any_key()
    secret = (Attribute.VALUE, Attribute.PRIVATE_EXPONENT, Attribute.PRIME_1)
    with bench.session() as session:
        key = private_key(session, made)
        got = [f"CKA_{each.name} can be read" for each in secret if _read(key, each)]
        for attribute, value in ((Attribute.EXTRACTABLE, True), (Attribute.SENSITIVE, False)):
            try:
                key[attribute] = value
            except pkcs11.PKCS11Error:
                continue
            if key[attribute] is value:
                got.append(f"CKA_{attribute.name} can be set to {_word(value)}")
    if got:
        return Found(Verdict.LIES, ", ".join(got))
    return Found(Verdict.WORKS, "the private value is not told, the protection not taken back")


def _read(key: Any, attribute: Attribute) -> bool:
    try:
        return bool(key[attribute])
    except pkcs11.PKCS11Error:
        return False


def wrapping(bench: Bench) -> Found:
    """Wrap the private key under a key of ours: it must not come out."""
    made, _ = bench.any_key()
    came_out, controls = [], 0
    with bench.session() as session:
        listed = session.token.slot.get_mechanisms()
        wrapper = _wrapping_key(session)
        if wrapper is None:
            return Found(Verdict.WORKS, "it has no wrapping keys")
        key = private_key(session, made)
        # The control: a key that may leave does, so that a refusal means something.
        loose = session.generate_key(
            KeyType.AES,
            _KEK_BITS,
            template={Attribute.TOKEN: False, Attribute.EXTRACTABLE: True},
        )
        for mechanism, parameter in _WRAPPINGS:
            if mechanism not in listed:
                continue
            controls += _wraps(wrapper, loose, mechanism, parameter)
            if _wraps(wrapper, key, mechanism, parameter):
                came_out.append(mechanism.name)
    if came_out:
        return Found(Verdict.LIES, f"the key leaves the token under {', '.join(came_out)}")
    if not controls:
        return Found(Verdict.WORKS, "it wraps nothing at all by the mechanisms that we know")
    return Found(Verdict.WORKS, f"refused by {controls} mechanisms that wrap other keys")


def _wrapping_key(session: pkcs11.Session) -> Any:
    template = {Attribute.TOKEN: False, Attribute.WRAP: True}
    try:
        return session.generate_key(KeyType.AES, _KEK_BITS, template=template)
    except pkcs11.PKCS11Error as error:
        if rung(error) is not Rung.CALLER:
            raise
        return None


def _wraps(wrapper: Any, key: Any, mechanism: Mechanism, parameter: bytes | None) -> bool:
    try:
        return bool(wrapper.wrap_key(key, mechanism=mechanism, mechanism_param=parameter))
    except pkcs11.PKCS11Error:
        return False


def destruction(bench: Bench) -> Found:
    made = bench.another_key()
    destroy(bench.pool, made.cka_id)
    with bench.session() as session:
        left = [
            kind.name.lower()
            for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
            if matching(session, kind, made.cka_id)
        ]
    if left:
        return Found(Verdict.LIES, f"still there after C_DestroyObject: {', '.join(left)}")
    return Found(Verdict.WORKS, "gone, for other sessions too")


def _word(said: bool | None) -> str:
    return "not told" if said is None else str(said).lower()
