"""The manifest under cosign's `.sig` tag: a list of signatures that many writers share.

Guaranteed: layers of others are kept as they are, in their order, with every member and
annotation; a signature is listed once; what is not a signature manifest is never replaced.
The config blob is the one that cosign writes (`v1.ConfigFile` of go-containerregistry, one
history entry and diff id a layer); it follows from the layers alone, so it is never read.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any, Final

from service.domain.digests import Digest
from service.domain.limits import MAX_MANIFEST_BYTES, MAX_SIGNATURE_LAYERS
from service.domain.media_types import DOCKER_MANIFEST, OCI_MANIFEST
from service.domain.signing import SignatureLayer
from service.formats import strictjson
from service.formats.lists import ListFullError, NewManifest, NotAListError
from service.translog.errors import MalformedError
from service.translog.rekor import kind_and_version

# cosign writes Docker's types where COSIGN_DOCKER_MEDIA_TYPES asks for them.
_CONFIG_MEDIA_TYPES: Final = MappingProxyType(
    {
        OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
        DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
    }
)
SIGNATURE_ANNOTATION: Final = "dev.cosignproject.cosign/signature"
LOG_ANNOTATION: Final = "dev.sigstore.cosign/bundle"
_ZERO_TIME: Final = "0001-01-01T00:00:00Z"  # Go's time.Time{}


def signature_tag(subject: Digest) -> str:
    """Return the tag under which cosign keeps the signatures of `subject`."""
    return f"sha256-{subject.hex}.sig"


def append_layers(
    existing: bytes | None,
    layers: Sequence[SignatureLayer],
    *,
    without: frozenset[str] = frozenset(),
) -> NewManifest | None:
    """Return the manifest with these layers added, or None if all are in it already.

    `without` names digests of blobs that the registry has lost: it would refuse a manifest
    that still lists them, and their signatures cannot be verified by anybody.

    Raises:
        NotAListError: `existing` is no image manifest.
        ListFullError: there is no room.
    """
    manifest = _empty() if existing is None else _parse(existing)
    ours = [entry for layer in layers for entry in _descriptors(layer)]
    wanted = {entry["digest"] for entry in ours}
    listed: list[dict[str, Any]] = [
        entry
        for entry in manifest["layers"]
        if entry["digest"] in wanted or entry["digest"] not in without
    ]
    changed = len(listed) != len(manifest["layers"])
    for entry in ours:
        changed |= _put(listed, entry)
    if not changed:
        return None
    if len(listed) > MAX_SIGNATURE_LAYERS:
        raise ListFullError(f"more than {MAX_SIGNATURE_LAYERS} signatures of one image")
    config = _config(listed)
    manifest["layers"] = listed
    manifest["config"] = {
        "mediaType": _CONFIG_MEDIA_TYPES[manifest["mediaType"]],
        "size": len(config),
        "digest": str(Digest.of(config)),
    }
    # What is all ours holds nothing but text and sizes; foreign members may hold anything.
    content = (strictjson.dump_plain if existing is None else strictjson.dump)(manifest)
    if len(content) > MAX_MANIFEST_BYTES:
        raise ListFullError(f"a manifest of more than {MAX_MANIFEST_BYTES} bytes")
    return NewManifest(manifest["mediaType"], content, (config,))


def listed_digests(existing: bytes) -> tuple[Digest, ...]:
    """Return the blobs of the layers.

    Raises:
        NotAListError: `existing` is no image manifest, or one without sha256.
    """
    try:
        return tuple(Digest.parse(entry["digest"]) for entry in _parse(existing)["layers"])
    except ValueError as error:
        raise NotAListError(str(error)) from error


def _put(listed: list[dict[str, Any]], ours: dict[str, Any]) -> bool:
    """List one signature; return whether anything changed.

    The same payload with the same signature is the same signature (cosign's own rule), unless
    it carries the proofs of log entries of two kinds. One that lacks some of our annotations,
    say the proof of its log entry, gets them.
    """
    for entry in listed:
        theirs = entry.get("annotations") or {}
        if entry["digest"] == ours["digest"] and _is_same(theirs, ours["annotations"]):
            mended = {**entry, **ours, "annotations": {**theirs, **ours["annotations"]}}
            if mended == entry:
                return False
            entry.update(mended)
            return True
    listed.append(ours)
    return True


def _is_same(theirs: dict[str, Any], ours: dict[str, str]) -> bool:
    if theirs.get(SIGNATURE_ANNOTATION) != ours.get(SIGNATURE_ANNOTATION):
        return False
    # One without a proof, or with a broken one, is the first whose proof we bring.
    kinds = {logged_kind(theirs.get(LOG_ANNOTATION)), logged_kind(ours.get(LOG_ANNOTATION))}
    return len(kinds - {None}) <= 1


def logged_kind(annotation: object) -> str | None:
    """Return the kind of log entry that cosign's bundle annotation proves, as far as it can be read."""
    try:
        body = json.loads(str(annotation))["Payload"]["body"]
        return kind_and_version(b64decode(body, validate=True))[0]
    except (ValueError, KeyError, TypeError, RecursionError, MalformedError):
        return None


def _descriptors(layer: SignatureLayer) -> Iterator[dict[str, Any]]:
    entry = {
        "mediaType": layer.media_type,
        "size": len(layer.content),
        "digest": str(layer.digest),
    }
    for some in (layer.annotations, layer.twin):
        if some:
            # As Go writes a map.
            yield {**entry, "annotations": dict(sorted(some))}


def _config(listed: Sequence[dict[str, Any]]) -> bytes:
    return strictjson.dump_plain(
        {
            "architecture": "",
            "created": _ZERO_TIME,
            "history": [{"created": _ZERO_TIME} for _ in listed],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [entry["digest"] for entry in listed]},
            "config": {},
        }
    )


def _empty() -> dict[str, Any]:
    # The members stand in the order in which cosign writes them.
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {},
        "layers": [],
    }


def _parse(existing: bytes) -> dict[str, Any]:
    try:
        manifest = strictjson.load(existing)
    except strictjson.StrictJSONError as error:
        raise NotAListError(str(error)) from error
    if not isinstance(manifest, dict):
        raise NotAListError("not a JSON object")
    # OCI image specification 1.1, manifest.md: mediaType "SHOULD be used", so it may lack.
    media_type = manifest.setdefault("mediaType", OCI_MANIFEST)
    if not isinstance(media_type, str) or media_type not in _CONFIG_MEDIA_TYPES:
        raise NotAListError("not an image manifest")
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not all(_is_descriptor(entry) for entry in layers):
        raise NotAListError("its layers are not a list of descriptors")
    return manifest


def _is_descriptor(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("digest"), str)
        and isinstance(entry.get("annotations") or {}, dict)
    )
