"""What custodians do with keys that are on tokens: adopt, look at again, destroy.

A location is a token's label and serial, and every configured token that fits it is another
place of the same key: clones behind other modules. A private key is known as ours by one thing
only, a signature over a fresh challenge that verifies under the pinned public key. CKA_IDs
and labels were given by people, and the token in a slot may be another one of the same name.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import hsm
from service.domain import errors
from service.domain.keys import Algorithm, Attributes, GeneratedKey, KeyVersion, Location, Scheme
from service.domain.public_keys import PublicKey
from service.keyring.translate import SCHEMES, attributes_said, service_error

# No protocol that we sign for lets its bytes begin like this.
_CHALLENGE: Final = b"sealwright: proof that a token holds a private key\x00"
_NONCE_BYTES: Final = 32

PROVEN_BY: Final = MappingProxyType(
    {
        Algorithm.EC_P256: (Scheme.ECDSA_P256_SHA256,),
        Algorithm.EC_P384: (Scheme.ECDSA_P384_SHA384,),
        # A key may be restricted to one of the paddings.
        Algorithm.RSA_2048: (Scheme.RSA_PKCS1_SHA256, Scheme.RSA_PSS_SHA256),
        Algorithm.RSA_3072: (Scheme.RSA_PKCS1_SHA256, Scheme.RSA_PSS_SHA256),
        Algorithm.RSA_4096: (Scheme.RSA_PKCS1_SHA256, Scheme.RSA_PSS_SHA256),
        Algorithm.ED25519: (Scheme.ED25519,),
    }
)


def adopt(
    pools: Sequence[hsm.TokenPool], uri: str, public_key: bytes | None, *, allow_extractable: bool
) -> GeneratedKey:
    """As `service.ports.hsm.KeyMaker.adopt`."""
    try:
        wanted = hsm.KeyURI.parse(uri)
    except hsm.URIError as error:
        raise errors.InvalidRequestError(
            f"the URI {error}", errors={"uri": [str(error)]}
        ) from error
    given = None if public_key is None else _parsed(public_key)
    try:
        pool, found = _located(_named(pools, wanted), wanted)
    except hsm.KeyMissingError as error:
        raise errors.KeyNotAdoptableError(f"no private key is {wanted}") from error
    except hsm.HSMError as error:
        raise service_error(error) from error
    said = found.attributes
    if not allow_extractable and (said.extractable is not False or said.sensitive is not True):
        raise errors.KeyUnprotectedError(
            "the key could leave its token: extractable is "
            f"{_word(said.extractable)}, sensitive is {_word(said.sensitive)}"
        )
    if given is None:
        if found.public_key is None:
            raise errors.KeyNotAdoptableError(
                "the token does not tell the public key: send it with the request"
            )
        given = _parsed(found.public_key)
    try:
        _prove(pool, found.cka_id, given)
    except hsm.SignatureCheckError as error:
        raise errors.KeyNotAdoptableError(
            "the private key does not belong to the public key"
        ) from error
    except hsm.UnsupportedMechanismError as error:
        raise errors.KeyNotAdoptableError(
            f"the private key does not sign as a key of kind {given.algorithm}"
        ) from error
    except hsm.HSMError as error:
        raise service_error(error) from error
    return GeneratedKey(
        cka_id=found.cka_id,
        public_key=given.der,
        location=Location(token=found.token_label, serial=found.token_serial),
        attributes=attributes_said(said),
    )


def destroy(pools: Sequence[hsm.TokenPool], version: KeyVersion) -> None:
    """As `service.ports.hsm.KeyMaker.destroy`; the pools are those of the version's locations."""
    served = {(pool.address.label, pool.serial) for pool in pools}
    for location in version.locations:
        if location.state == "present" and not served & {
            (location.token, location.serial),
            (location.token, None),
        }:
            raise errors.HSMUnavailableError(f"no configured token is {location.token!r}")
    try:
        # Everywhere before anywhere: nobody wants a key that is half destroyed.
        holding = [pool for pool in pools if _is_ours(pool, version)]
        for pool in holding:
            try:
                hsm.destroy(pool, version.cka_id)
            except hsm.KeyMissingError:
                continue  # by another way to the same token, or by somebody else just now
    except hsm.SignatureCheckError as error:
        raise errors.KeyMissingOnTokenError(
            f"another key has the CKA_ID of {version.key!r}, version {version.version}: it stays"
        ) from error
    except hsm.HSMError as error:
        raise service_error(error) from error


def attributes(pools: Sequence[hsm.TokenPool], version: KeyVersion) -> Attributes:
    """As `service.ports.hsm.KeyMaker.attributes`; the pools are those of its locations."""
    first: hsm.HSMError | None = None
    for pool in pools:
        try:
            return attributes_said(hsm.attributes_of(pool, version.cka_id))
        except hsm.HSMError as error:
            first = first or error
    if first is not None:
        raise service_error(first) from first
    raise errors.HSMUnavailableError(
        f"no configured token holds the key {version.key!r}, version {version.version}"
    )


def _named(pools: Sequence[hsm.TokenPool], wanted: hsm.KeyURI) -> list[hsm.TokenPool]:
    """Return the pools of the one token that the URI names.

    Raises:
        TokenNotFoundError: it names none, or more than one.
    """
    found = [
        pool
        for pool in pools
        if wanted.token in (None, pool.address.label)
        and (wanted.serial is None or pool.serial in (None, wanted.serial))
    ]
    if not found:
        raise errors.TokenNotFoundError("no configured token is the one that the URI names")
    if len({(pool.address.label, pool.serial) for pool in found}) > 1:
        raise errors.TokenNotFoundError("the URI fits more than one token: give label and serial")
    return found


def _located(
    pools: Sequence[hsm.TokenPool], wanted: hsm.KeyURI
) -> tuple[hsm.TokenPool, hsm.FoundKey]:
    """Look on the first of the clones that answers."""
    away: hsm.HSMUnavailableError | None = None
    for pool in pools:
        try:
            return pool, hsm.locate(pool, wanted)
        except hsm.HSMUnavailableError as error:
            away = away or error
    raise away or hsm.HSMUnavailableError("no token is configured")


def _is_ours(pool: hsm.TokenPool, version: KeyVersion) -> bool:
    """Tell whether the token holds the version's private key: False where it is missing.

    Raises:
        hsm.HSMError: it could not be found out, or another key has taken the id.
    """
    try:
        _prove(pool, version.cka_id, PublicKey.parse(version.public_key))
    except hsm.KeyMissingError:
        return False
    return True


def _prove(pool: hsm.TokenPool, cka_id: bytes, public: PublicKey) -> None:
    """Let the private key sign a challenge, and check that under the public key.

    Raises:
        hsm.SignatureCheckError: it is another key.
        hsm.UnsupportedMechanismError: it is of another kind, or must not sign.
        hsm.HSMError
    """
    message = _CHALLENGE + secrets.token_bytes(_NONCE_BYTES)
    refused: hsm.HSMError | None = None
    for scheme in PROVEN_BY[public.algorithm]:

        def check(signature: bytes, scheme: Scheme = scheme) -> None:
            public.verify(scheme, message, signature)

        [result] = hsm.sign(pool, cka_id, SCHEMES[scheme], [(message, check)])
        if isinstance(result, bytes):
            return
        if not isinstance(result, hsm.UnsupportedMechanismError):
            raise result
        refused = result
    raise refused or hsm.UnsupportedMechanismError("no scheme fits the key")


def _parsed(public_key: bytes) -> PublicKey:
    try:
        return PublicKey.parse(public_key)
    except ValueError as error:
        raise errors.InvalidRequestError(
            "not a public key of a kind that can sign",
            errors={"public_key": ["not the DER SubjectPublicKeyInfo of a supported kind"]},
        ) from error


def _word(said: bool | None) -> str:
    return "not told" if said is None else str(said).lower()
