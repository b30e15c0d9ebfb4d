"""Whether a trusted authority has stamped a signature (RFC 3161), and when; by rfc3161-client.

The chain of the authority need only have been valid when it stamped.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from types import MappingProxyType
from typing import Final

from cryptography import x509
from rfc3161_client import (
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from service.verification.sigstore.reasons import Refusal, RefusedError
from service.verification.sigstore.roots import Authority

_HASHES: Final = MappingProxyType(
    {
        "2.16.840.1.101.3.4.2.1": "sha256",
        "2.16.840.1.101.3.4.2.2": "sha384",
        "2.16.840.1.101.3.4.2.3": "sha512",
    }
)


def stamped_at(response: bytes, signature: bytes, time_stampers: tuple[Authority, ...]) -> datetime:
    """Return the time of a stamp over `signature`. Raises RefusedError."""
    try:
        read = decode_timestamp_response(response)
        moment = read.tst_info.gen_time
        imprint = read.tst_info.message_imprint
        name = _HASHES.get(imprint.hash_algorithm.dotted_string)
        stamped = imprint.message
    except ValueError as error:
        raise RefusedError(
            Refusal.TIMESTAMP_MALFORMED, "a timestamp cannot be read as the answer of an authority"
        ) from error
    if name is None or stamped != hashlib.new(name, signature).digest():
        raise RefusedError(Refusal.TIMESTAMP_MISMATCHED, "a timestamp is of another signature")
    signers = [one for one in time_stampers if _verifies(read, signature, one.chain)]
    if not signers:
        text = "a timestamp is not by an authority that is trusted, and was valid then"
        raise RefusedError(Refusal.TIMESTAMP_UNTRUSTED, text)
    if not any(one.valid.covers(moment) for one in signers):
        raise RefusedError(
            Refusal.TIMESTAMP_OUT_OF_TIME,
            f"the authority is not trusted at {moment.isoformat()}, when it stamped",
        )
    return moment


def _verifies(
    response: TimeStampResponse, signature: bytes, chain: tuple[x509.Certificate, ...]
) -> bool:
    leaf = None if _is_ca(chain[0]) else chain[0]
    above = chain if leaf is None else chain[1:]
    if not above:
        return False  # an authority that vouches for itself alone
    builder = VerifierBuilder(
        tsa_certificate=leaf, intermediates=list(above[:-1]), roots=[above[-1]]
    )
    try:
        builder.build().verify_message(response, signature)
    except (VerificationError, ValueError):
        return False
    return True


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
