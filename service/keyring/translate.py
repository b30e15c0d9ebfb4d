"""Between the words of `hsm` and those of the domain; tests prove each table complete."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import hsm
from service.domain import errors
from service.domain.keys import Algorithm, Attributes, GeneratedKey, Location, Scheme

ALGORITHMS: Final = MappingProxyType(
    {
        Algorithm.EC_P256: hsm.Algorithm.EC_P256,
        Algorithm.EC_P384: hsm.Algorithm.EC_P384,
        Algorithm.RSA_2048: hsm.Algorithm.RSA_2048,
        Algorithm.RSA_3072: hsm.Algorithm.RSA_3072,
        Algorithm.RSA_4096: hsm.Algorithm.RSA_4096,
        Algorithm.ED25519: hsm.Algorithm.ED25519,
    }
)

SCHEMES: Final = MappingProxyType(
    {
        Scheme.ECDSA_P256_SHA256: hsm.Scheme.ECDSA_P256_SHA256,
        Scheme.ECDSA_P384_SHA256: hsm.Scheme.ECDSA_P384_SHA256,
        Scheme.ECDSA_P384_SHA384: hsm.Scheme.ECDSA_P384_SHA384,
        Scheme.RSA_PKCS1_SHA256: hsm.Scheme.RSA_PKCS1_SHA256,
        Scheme.RSA_PSS_SHA256: hsm.Scheme.RSA_PSS_SHA256,
        Scheme.RSA_PSS_SHA384: hsm.Scheme.RSA_PSS_SHA384,
        Scheme.RSA_PSS_SHA512: hsm.Scheme.RSA_PSS_SHA512,
        Scheme.ED25519: hsm.Scheme.ED25519,
    }
)

_RSA: Final = frozenset(
    {
        Scheme.RSA_PKCS1_SHA256,
        Scheme.RSA_PSS_SHA256,
        Scheme.RSA_PSS_SHA384,
        Scheme.RSA_PSS_SHA512,
    }
)
SCHEMES_OF: Final = MappingProxyType(
    {
        Algorithm.EC_P256: frozenset({Scheme.ECDSA_P256_SHA256}),
        Algorithm.EC_P384: frozenset({Scheme.ECDSA_P384_SHA256, Scheme.ECDSA_P384_SHA384}),
        Algorithm.RSA_2048: _RSA,
        Algorithm.RSA_3072: _RSA,
        Algorithm.RSA_4096: _RSA,
        Algorithm.ED25519: frozenset({Scheme.ED25519}),
    }
)

_ERRORS: Final[MappingProxyType[type[hsm.HSMError], type[errors.ServiceError]]] = MappingProxyType(
    {
        hsm.HSMUnavailableError: errors.HSMUnavailableError,
        hsm.ModuleLoadError: errors.HSMUnavailableError,
        hsm.ModuleInheritedError: errors.HSMUnavailableError,
        hsm.CallStuckError: errors.HSMUnavailableError,
        hsm.ModuleQuarantinedError: errors.HSMQuarantinedError,
        hsm.TokenBusyError: errors.HSMUnavailableError,
        hsm.TokenAbsentError: errors.HSMUnavailableError,
        hsm.PINUnreadableError: errors.HSMUnavailableError,
        hsm.PINRefusedError: errors.PINRefusedError,
        hsm.KeyMissingError: errors.KeyMissingOnTokenError,
        hsm.KeyAmbiguousError: errors.KeyMissingOnTokenError,
        hsm.KeyAlreadyExistsError: errors.KeyExistsError,
        hsm.KeyUnfitError: errors.KeyNotAdoptableError,
        hsm.KeyUnprotectedError: errors.KeyUnprotectedError,
        hsm.UnsupportedMechanismError: errors.UnsupportedAlgorithmError,
        hsm.MechanismRefusedError: errors.HSMRefusedError,
        hsm.SignatureCheckError: errors.SignatureCheckFailedError,
    }
)


def service_error(error: hsm.HSMError) -> errors.ServiceError:
    """Return the domain's error for it, with the original as the cause, for the log."""
    retry_after = error.retry_after if isinstance(error, hsm.HSMUnavailableError) else None
    translated = _ERRORS[type(error)](str(error), retry_after=retry_after)
    translated.__cause__ = error
    return translated


def signing_error(error: hsm.HSMError) -> errors.ServiceError:
    """As `service_error`, for a version of ours and a scheme that our tables allow for it.

    What a token cannot do with such a key is never the caller's fault.
    """
    if isinstance(error, hsm.UnsupportedMechanismError):
        refused = errors.HSMRefusedError(str(error))
        refused.__cause__ = error
        return refused
    return service_error(error)


def generated_key(made: hsm.NewKey) -> GeneratedKey:
    return GeneratedKey(
        cka_id=made.cka_id,
        public_key=made.public_key,
        location=Location(token=made.token_label, serial=made.token_serial),
        attributes=attributes_said(made.attributes),
    )


def attributes_said(said: hsm.KeyAttributes) -> Attributes:
    return Attributes(
        sensitive=said.sensitive,
        extractable=said.extractable,
        always_sensitive=said.always_sensitive,
        never_extractable=said.never_extractable,
        local=said.local,
    )
