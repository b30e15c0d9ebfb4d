"""Keys in PKCS#11 tokens: found, made, and signed with, across everything that tokens do.

Knows no HTTP, no store and no images. Nothing here touches a module at import; the first
operation of a `TokenPool` loads it, in the process that will use it.
"""

from __future__ import annotations

from hsm.adoption import FoundKey, locate
from hsm.errors import (
    CallStuckError,
    HSMError,
    HSMUnavailableError,
    KeyAlreadyExistsError,
    KeyAmbiguousError,
    KeyMissingError,
    KeyUnfitError,
    KeyUnprotectedError,
    MechanismRefusedError,
    ModuleInheritedError,
    ModuleLoadError,
    ModuleQuarantinedError,
    PINRefusedError,
    PINUnreadableError,
    SignatureCheckError,
    TokenAbsentError,
    TokenBusyError,
    UnsupportedMechanismError,
)
from hsm.health import probe
from hsm.keys import KeyAttributes, NewKey, attributes_of, destroy, generate, holds
from hsm.login import PIN, PINGate
from hsm.mechanisms import Algorithm, Scheme
from hsm.pool import Recovery, TokenPool
from hsm.shown import public_keys
from hsm.signer import sign
from hsm.tokens import Slot, TokenAddress, TokenMechanism, mechanisms, slots
from hsm.uri import KeyURI, URIError
from hsm.watchdog import CALL_SECONDS, watch

__all__ = [
    "CALL_SECONDS",
    "PIN",
    "Algorithm",
    "CallStuckError",
    "FoundKey",
    "HSMError",
    "HSMUnavailableError",
    "KeyAlreadyExistsError",
    "KeyAmbiguousError",
    "KeyAttributes",
    "KeyMissingError",
    "KeyURI",
    "KeyUnfitError",
    "KeyUnprotectedError",
    "MechanismRefusedError",
    "ModuleInheritedError",
    "ModuleLoadError",
    "ModuleQuarantinedError",
    "NewKey",
    "PINGate",
    "PINRefusedError",
    "PINUnreadableError",
    "Recovery",
    "Scheme",
    "SignatureCheckError",
    "Slot",
    "TokenAbsentError",
    "TokenAddress",
    "TokenBusyError",
    "TokenMechanism",
    "TokenPool",
    "URIError",
    "UnsupportedMechanismError",
    "attributes_of",
    "destroy",
    "generate",
    "holds",
    "locate",
    "mechanisms",
    "probe",
    "public_keys",
    "sign",
    "slots",
    "watch",
]
