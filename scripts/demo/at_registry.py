"""What anybody finds at the registry, and what a forger puts there."""

from __future__ import annotations

import json
from base64 import b64decode

from scripts.demo.telling import check
from service.domain.digests import Digest
from tests.support.product import RunningRegistry
from tests.support.registry import OCI_MANIFEST

REPOSITORY = "demo/app"
SIGNATURE = "dev.cosignproject.cosign/signature"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def attached(registry: RunningRegistry, digest: Digest) -> tuple[bytes, bytes]:
    """Return payload and signature as anybody finds them in cosign's place."""
    layers = registry.signature_layers(REPOSITORY, digest)
    check(len(layers) == 1, f"{len(layers)} signatures are attached, not one")
    payload = registry.get_blob(REPOSITORY, str(layers[0]["digest"]))
    check(payload is not None, "the signed payload is not at the registry")
    annotations = layers[0]["annotations"]
    assert isinstance(annotations, dict)
    assert payload is not None
    return payload, b64decode(annotations[SIGNATURE])


def bundled(registry: RunningRegistry, digest: Digest) -> tuple[bytes, bytes]:
    """Return statement and signature of the bundle, as anybody finds them by the fallback tag."""
    entries = [
        entry
        for entry in registry.referrer_entries(REPOSITORY, digest)
        if entry["artifactType"] == BUNDLE
    ]
    check(len(entries) == 1, f"{len(entries)} bundles refer to the image, not one")
    stored = registry.get_manifest(REPOSITORY, str(entries[0]["digest"]))
    assert stored is not None
    layer = json.loads(stored.content)["layers"][0]["digest"]
    content = registry.get_blob(REPOSITORY, layer)
    check(content is not None, "the bundle is not at the registry")
    assert content is not None
    envelope = json.loads(content)["dsseEnvelope"]
    return b64decode(envelope["payload"]), b64decode(envelope["signatures"][0]["sig"])


def pae(statement: bytes) -> bytes:
    """Return what a DSSE signature is over."""
    kind = b"application/vnd.in-toto+json"
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(statement), statement)


def copy_signature(registry: RunningRegistry, source: Digest, target: Digest, suffix: str) -> None:
    """Put what lies under the source's tag under the target's too."""
    stored = registry.get_manifest(REPOSITORY, f"sha256-{source.hex}{suffix}")
    check(stored is not None, "there is no signature to copy")
    assert stored is not None
    tag = f"sha256-{target.hex}{suffix}"
    registry.push_manifest(REPOSITORY, tag, stored.content, stored.media_type)


def put_signature(
    registry: RunningRegistry, target: Digest, payload: bytes, signature: bytes
) -> None:
    """Rewrite the signature manifest of `target` to carry this payload."""
    tag = f"sha256-{target.hex}.sig"
    stored = registry.get_manifest(REPOSITORY, tag)
    assert stored is not None
    manifest = json.loads(stored.content)
    layer = manifest["layers"][0]
    layer["digest"] = str(registry.push_blob(REPOSITORY, payload))
    layer["size"] = len(payload)
    check(b64decode(layer["annotations"][SIGNATURE]) == signature, "another signature")
    registry.push_manifest(REPOSITORY, tag, json.dumps(manifest).encode(), OCI_MANIFEST)
