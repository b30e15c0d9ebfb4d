"""The index under the tag `sha256-<hex>`: who refers to an image, where the registry cannot tell.

OCI distribution specification 1.1, "Referrers Tag Schema". Guaranteed: descriptors of others are
kept as they are, with every member and annotation; ours carry the manifest's artifactType and all
of its annotations, as the specification asks; one is listed once; what is no index is never
replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from service.domain.digests import Descriptor, Digest
from service.domain.limits import MAX_MANIFEST_BYTES, MAX_REFERRERS
from service.domain.media_types import OCI_INDEX
from service.domain.signing import Referrer
from service.formats import strictjson
from service.formats.lists import ListFullError, NewManifest, NotAListError

_NO_SIZE: Final = 0


def fallback_tag(subject: Digest) -> str:
    """Return the tag under which clients keep the referrers of `subject`."""
    return f"sha256-{subject.hex}"


def add_referrers(
    existing: bytes | None,
    referrers: Sequence[Referrer],
    *,
    without: frozenset[str] = frozenset(),
) -> NewManifest | None:
    """Return the index with these referrers listed, or None if all are in it already.

    Ours are put before others: notation gives up at the first manifest that it cannot read, so
    that whoever can push could keep it from ever reaching ours. `without` names digests of
    manifests that the registry has not (any more): it refuses an index that lists one.

    Raises:
        NotAListError: `existing` is no index.
        ListFullError: there is no room.
    """
    index = _empty() if existing is None else _parse(existing)
    ours = {str(referrer.digest): _descriptor(referrer) for referrer in referrers}
    listed: list[dict[str, Any]] = [
        entry
        for entry in index["manifests"]
        if entry["digest"] in ours or entry["digest"] not in without
    ]
    changed = len(listed) != len(index["manifests"])
    for entry in listed:
        # One that another client rewrote may lack what ours has to carry.
        wanted = ours.pop(entry["digest"], None)
        if wanted is not None:
            mended = {
                **entry,
                **wanted,
                "annotations": {**(entry.get("annotations") or {}), **wanted["annotations"]},
            }
            changed |= mended != entry
            entry.update(mended)
    if not ours and not changed:
        return None
    index["manifests"] = [*ours.values(), *listed]
    if len(index["manifests"]) > MAX_REFERRERS:
        raise ListFullError(f"more than {MAX_REFERRERS} manifests refer to one image")
    content = strictjson.dump(index)
    if len(content) > MAX_MANIFEST_BYTES:
        raise ListFullError(f"an index of more than {MAX_MANIFEST_BYTES} bytes")
    return NewManifest(OCI_INDEX, content)


def listed_manifests(existing: bytes) -> tuple[Descriptor, ...]:
    """Return what the index lists, as far as it is named by sha256.

    Raises:
        NotAListError: it is no index.
    """
    found = []
    for entry in _parse(existing)["manifests"]:
        try:
            digest = Digest.parse(entry["digest"])
        except ValueError:
            continue
        found.append(Descriptor(str(entry.get("mediaType", "")), digest, _NO_SIZE))
    return tuple(found)


def _descriptor(referrer: Referrer) -> dict[str, Any]:
    # In the order in which go-containerregistry writes a descriptor.
    return {
        "mediaType": referrer.media_type,
        "size": len(referrer.manifest),
        "digest": str(referrer.digest),
        "annotations": dict(referrer.annotations),
        "artifactType": referrer.artifact_type,
    }


def _empty() -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


def _parse(existing: bytes) -> dict[str, Any]:
    try:
        index = strictjson.load(existing)
    except strictjson.StrictJSONError as error:
        raise NotAListError(str(error)) from error
    if not isinstance(index, dict):
        raise NotAListError("not a JSON object")
    if index.setdefault("mediaType", OCI_INDEX) != OCI_INDEX:
        raise NotAListError("not an image index")
    manifests = index.get("manifests")
    if manifests is None:
        # Go writes an empty slice that was never made as null.
        manifests = index["manifests"] = []
    if not isinstance(manifests, list) or not all(_is_descriptor(entry) for entry in manifests):
        raise NotAListError("its manifests are not a list of descriptors")
    return index


def _is_descriptor(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("digest"), str)
        and isinstance(entry.get("annotations") or {}, dict)
    )
