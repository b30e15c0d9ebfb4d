"""Where a module is examined: sessions that a check may spoil, and keys that are cleaned away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11 import Attribute, Mechanism, ObjectClass

from hsm import module as modules
from hsm.errors import HSMError, UnsupportedMechanismError
from hsm.keys import NewKey, generate, matching
from hsm.mechanisms import RECIPES, Algorithm, Scheme
from hsm.signer import sign
from hsm.tokens import close

if TYPE_CHECKING:
    import pkcs11

    from hsm.module import Module
    from hsm.pool import Leased, TokenPool

LABEL: Final = "sealwright slots check"

# Fast ones first: most checks take the first key that the token makes.
SCHEMES_OF: Final = {
    Algorithm.EC_P256: (Scheme.ECDSA_P256_SHA256,),
    Algorithm.EC_P384: (Scheme.ECDSA_P384_SHA384, Scheme.ECDSA_P384_SHA256),
    Algorithm.RSA_2048: (
        Scheme.RSA_PKCS1_SHA256,
        Scheme.RSA_PSS_SHA256,
        Scheme.RSA_PSS_SHA384,
        Scheme.RSA_PSS_SHA512,
    ),
    Algorithm.RSA_3072: (Scheme.RSA_PKCS1_SHA256, Scheme.RSA_PSS_SHA256),
    Algorithm.RSA_4096: (Scheme.RSA_PKCS1_SHA256, Scheme.RSA_PSS_SHA256),
    Algorithm.ED25519: (Scheme.ED25519,),
}

_HASHES: Final = {
    Mechanism.SHA256: hashes.SHA256(),
    Mechanism.SHA384: hashes.SHA384(),
    Mechanism.SHA512: hashes.SHA512(),
}


class Bench:
    """One token under examination, by one thread."""

    def __init__(self, pool: TokenPool) -> None:
        self.pool = pool
        self._keys: dict[Algorithm, NewKey | UnsupportedMechanismError] = {}

    @property
    def module(self) -> Module:
        return modules.load(self.pool.address.module, self.pool.address.init_args)

    @contextmanager
    def session(self) -> Iterator[pkcs11.Session]:
        """A session of its own, read-write and logged in, inside the module."""
        token = self.pool.run(lambda leased: leased.session.token)
        with self.module.use():
            session = token.open(rw=True)
            try:
                yield session
            finally:
                close(session)

    def key(self, algorithm: Algorithm) -> NewKey:
        """Return the key of this kind, made at first use.

        Raises:
            UnsupportedMechanismError: the token makes none.
            HSMError
        """
        known = self._keys.get(algorithm)
        if known is None:
            try:
                known = generate(self.pool, algorithm, label=LABEL)
            except UnsupportedMechanismError as error:
                known = error
            self._keys[algorithm] = known
        if isinstance(known, UnsupportedMechanismError):
            raise known
        return known

    def any_key(self) -> tuple[NewKey, Scheme]:
        """Return the first key that the token makes, and a scheme for it.

        Raises:
            UnsupportedMechanismError: it makes none at all.
            HSMError
        """
        for algorithm, schemes in SCHEMES_OF.items():
            try:
                return self.key(algorithm), schemes[0]
            except UnsupportedMechanismError:
                continue
        raise UnsupportedMechanismError("the token makes no key of any kind that we use")

    def another_key(self) -> NewKey:
        """Make a key of the kind of `any_key`, for a check that spoils it."""
        self.any_key()
        algorithm = next(a for a, key in self._keys.items() if isinstance(key, NewKey))
        return generate(self.pool, algorithm, label=LABEL)

    def sign(self, made: NewKey, scheme: Scheme, messages: Sequence[bytes]) -> None:
        """Sign by way of the pool, and check each signature.

        Raises:
            HSMError: the first of the failures.
        """
        verify = verifier(made.public_key, scheme)
        items = [(message, partial(verify, message)) for message in messages]
        for result in sign(self.pool, made.cka_id, scheme, items):
            if isinstance(result, HSMError):
                raise result

    def clean(self) -> None:
        """Destroy what the checks made, and what an examination that died has left."""

        def operation(leased: Leased) -> None:
            session = leased.session.token.open(rw=True)
            try:
                for kind in (ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY):
                    wanted: dict[Attribute, Any] = {Attribute.CLASS: kind, Attribute.LABEL: LABEL}
                    for each in list(session.get_objects(wanted)):
                        each.destroy()
            finally:
                close(session)
            self.pool.distrust(leased.generation)

        self._keys.clear()
        self.pool.run(operation)


def private_key(session: pkcs11.Session, made: NewKey) -> Any:
    """Return the key as this session sees it."""
    [found] = matching(session, ObjectClass.PRIVATE_KEY, made.cka_id)
    return found


def raw_sign(key: Any, scheme: Scheme, message: bytes) -> bytes:
    """Sign without the pool's ladder, and return what verifiers take."""
    recipe = RECIPES[scheme]
    raw = key.sign(
        recipe.prepare(message), mechanism=recipe.mechanism, mechanism_param=recipe.parameter
    )
    return recipe.encode(raw)


def verifier(public_key: bytes, scheme: Scheme) -> Callable[[bytes, bytes], None]:
    """Return what raises unless a signature over a message is right."""
    key = load_der_public_key(public_key)
    hashed = RECIPES[scheme].hash
    chosen = None if hashed is None else _HASHES[hashed.mechanism]

    def verify(message: bytes, signature: bytes) -> None:
        if isinstance(key, ec.EllipticCurvePublicKey) and chosen is not None:
            key.verify(signature, message, ec.ECDSA(chosen))
        elif isinstance(key, rsa.RSAPublicKey) and chosen is not None:
            pss = padding.PSS(padding.MGF1(chosen), chosen.digest_size)
            how = padding.PKCS1v15() if scheme is Scheme.RSA_PKCS1_SHA256 else pss
            key.verify(signature, message, how, chosen)
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            raise ValueError("the scheme does not fit the public key")

    return verify
