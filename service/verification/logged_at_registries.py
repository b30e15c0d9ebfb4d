"""Entries of a log as they lie at registries, in `.sig` annotations and in bundles.

Whatever is found there somebody may have written; it is used only where it leads to a root
that is known, or is compared with what the log holds.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any, Final

from service.formats.siglist import LOG_ANNOTATION


def entries_of_sig(manifest: bytes, *, log_ids: frozenset[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield index and bytes of the entries that a `.sig` manifest's layers say are in a log."""
    for layer in _list(_load(manifest), "layers"):
        annotations = layer.get("annotations")
        if not isinstance(annotations, dict):
            continue
        payload = _dict(_load(annotations.get(LOG_ANNOTATION)), "Payload")
        try:
            if bytes.fromhex(str(payload.get("logID"))) in log_ids:
                yield int(payload["logIndex"]), b64decode(payload["body"], validate=True)
        except (KeyError, TypeError, ValueError):
            continue


def entries_of_bundle(content: bytes, *, log_ids: frozenset[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the same of a sigstore bundle."""
    material = _dict(_load(content), "verificationMaterial")
    for entry in _list(material, "tlogEntries"):
        try:
            if b64decode(entry["logId"]["keyId"], validate=True) in log_ids:
                proof = entry["inclusionProof"]
                body = b64decode(entry["canonicalizedBody"], validate=True)
                yield int(proof["logIndex"]), body
        except (KeyError, TypeError, ValueError):
            continue


def layers_of(manifest: bytes) -> Iterator[str]:
    """Yield the digests of a manifest's layers."""
    for layer in _list(_load(manifest), "layers"):
        digest = layer.get("digest")
        if isinstance(digest, str):
            yield digest


def _load(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _dict(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _list(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = holder.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


__all__: Final = ["entries_of_bundle", "entries_of_sig", "layers_of"]
