"""Whether a signature over a message is by a version of a key that still counts."""

from __future__ import annotations

import re
from typing import Final

from service.domain.public_keys import PublicKey, SignatureInvalidError
from service.formats.simplesigning import SCHEMES
from service.plugins.failures import RefusedError

_PEM: Final = re.compile(
    r"-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n?"
)


def check(message: bytes, signature: bytes, *, pems: str) -> None:
    """Raise RefusedError unless one of the public keys has made the signature."""
    for pem in _PEM.findall(pems):
        try:
            key = PublicKey.parse_pem(pem)
            key.verify(SCHEMES[key.algorithm], message, signature)
        except (ValueError, SignatureInvalidError):
            continue
        return
    raise RefusedError("the signature is by no version of the key that still counts")
