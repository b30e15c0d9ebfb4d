"""Finds what may prove a signature's time in the places where clients look for it.

What cannot be read proves nothing, and is passed over.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from service.domain.log import Promise
from service.formats.siglist import LOG_ANNOTATION
from service.formats.simplesigning import TIMESTAMP_ANNOTATION
from service.ports.proofs import UnverifiedPromise
from service.verification.bundles import decode
from service.verification.stamp_tokens import token_in

MOST: Final = 8  # of each kind beside one signature; real ones have one or two
_UNREADABLE: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def stamps_of_layer(annotations: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the token of a `.sig` layer, as cosign writes it."""
    text = annotations.get(TIMESTAMP_ANNOTATION)
    if text is not None:
        with suppress(*_UNREADABLE):
            yield token_in(b64decode(json.loads(text)["SignedRFC3161Timestamp"], validate=True))


def stamps_of_bundle(stamps: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield the tokens of the stamps that hold one."""
    for stamp in stamps[:MOST]:
        with suppress(*_UNREADABLE):
            yield token_in(decode(stamp.get("signedTimestamp")))


def promises_of_layer(annotations: Mapping[str, Any]) -> Iterator[UnverifiedPromise]:
    """Yield the signed entry timestamp of a `.sig` layer."""
    text = annotations.get(LOG_ANNOTATION)
    if text is None:
        return
    with suppress(*_UNREADABLE):
        document = json.loads(text)
        entry = document["Payload"]
        yield _promise(
            b64decode(entry["body"], validate=True),
            entry["logIndex"],
            time=entry["integratedTime"],
            signature=b64decode(document["SignedEntryTimestamp"], validate=True),
            log_id=bytes.fromhex(entry["logID"]),
        )


def promises_of_bundle(entries: Sequence[Mapping[str, Any]]) -> Iterator[UnverifiedPromise]:
    """Yield those of a bundle's entries that have one."""
    for entry in entries[:MOST]:
        with suppress(*_UNREADABLE):
            yield _promise(
                decode(entry["canonicalizedBody"]),
                entry["logIndex"],
                time=entry["integratedTime"],
                signature=decode(entry["inclusionPromise"]["signedEntryTimestamp"]),
                log_id=decode(entry["logId"]["keyId"]),
            )


def _promise(
    body: bytes, index: Any, *, time: Any, signature: bytes, log_id: bytes
) -> UnverifiedPromise:
    # protobuf writes numbers of 64 bits as text.
    return UnverifiedPromise(body, int(index), Promise(int(time), signature, log_id))
