"""A process that attaches: ours under a lock between processes, or a foreign one.

Started by tests as `python -m tests.support.attach_process MODE …`; says `ready`, waits for a
line on its standard input, works, and ends. The lock file stands for the lease of the outbox.
"""

from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path

import urllib3

from service.domain.clock import SystemClock
from service.domain.digests import Descriptor, Digest
from service.domain.references import Repository
from service.domain.signing import Referrer, SignatureLayer
from service.formats.referrer import bundle_referrer
from service.registry import (
    OCIClient,
    ReferrerAttacher,
    RegistryBook,
    SharedTag,
    SigTagAttacher,
)

MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
NAME = "org.example.name"


def layer(name: str) -> SignatureLayer:
    return SignatureLayer(MEDIA_TYPE, f"payload {name}".encode(), ((SIGNATURE, name),))


def ours(registries: Path, repository: Repository, subject: Digest, names: list[str]) -> None:
    clock = SystemClock()
    client = OCIClient(RegistryBook(registries), clock)
    attacher = SigTagAttacher(client, clock, SharedTag(client, clock))
    with registries.with_suffix(".lock").open("w") as lock:
        for name in names:
            fcntl.flock(lock, fcntl.LOCK_EX)
            attacher.attach(repository, subject, [layer(name)], seconds=60)
            fcntl.flock(lock, fcntl.LOCK_UN)


def referrer(name: str, subject: Digest) -> Referrer:
    described = Descriptor(OCI, subject, 2)
    content = f'{{"payload":"{name}"}}'.encode()
    return bundle_referrer(
        content, media_type=BUNDLE, annotations=((NAME, name),), subject=described
    )


def ours_referring(
    registries: Path, repository: Repository, subject: Digest, names: list[str]
) -> None:
    clock = SystemClock()
    client = OCIClient(RegistryBook(registries), clock)
    attacher = ReferrerAttacher(client, clock, SharedTag(client, clock))
    with registries.with_suffix(".lock").open("w") as lock:
        for name in names:
            fcntl.flock(lock, fcntl.LOCK_EX)
            attacher.attach(repository, subject, [referrer(name, subject)], seconds=60)
            fcntl.flock(lock, fcntl.LOCK_UN)


def foreign_referring(repository: Repository, subject: Digest, names: list[str]) -> None:
    """List a manifest as go-containerregistry does: read, modify, write, no annotations."""
    http = urllib3.PoolManager(retries=False, timeout=30)
    base = f"http://{repository.host}/v2/{repository.path}"
    url = f"{base}/manifests/sha256-{subject.hex}"
    for name in names:
        ours = referrer(name, subject)
        for blob in ours.blobs:
            upload(http, base, blob)
        path = f"{base}/manifests/{ours.digest}"
        done = http.request("PUT", path, body=ours.manifest, headers={"Content-Type": OCI})
        assert done.status == 201
        found = http.request("GET", url, headers={"Accept": INDEX})
        listed = json.loads(found.data)["manifests"] if found.status == 200 else []
        entry = {
            "mediaType": OCI,
            "size": len(ours.manifest),
            "digest": str(ours.digest),
            "artifactType": BUNDLE,
        }
        document = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": sorted([*listed, entry], key=lambda one: str(one["digest"])),
        }
        body = json.dumps(document).encode()
        assert http.request("PUT", url, body=body, headers={"Content-Type": INDEX}).status == 201


def upload(http: urllib3.PoolManager, base: str, blob: bytes) -> None:
    while http.request("HEAD", f"{base}/blobs/{Digest.of(blob)}").status != 200:
        begun = http.request("POST", f"{base}/blobs/uploads/")
        # Another upload of the same blob may get in the way: then it is there in a moment.
        http.request("PUT", f"{begun.headers['Location']}&digest={Digest.of(blob)}", body=blob)


def foreign(repository: Repository, subject: Digest, names: list[str]) -> None:
    """Append as cosign does: read, modify, write, and neither lock nor look back."""
    http = urllib3.PoolManager(retries=False, timeout=30)
    base = f"http://{repository.host}/v2/{repository.path}"
    url = f"{base}/manifests/sha256-{subject.hex}.sig"
    for name in names:
        payload = layer(name).content
        found = http.request("GET", url, headers={"Accept": OCI})
        manifest = json.loads(found.data) if found.status == 200 else {"layers": []}
        config = json.dumps({"foreign": name}).encode()
        for blob in (payload, config):
            begun = http.request("POST", f"{base}/blobs/uploads/")
            done = f"{begun.headers['Location']}&digest={Digest.of(blob)}"
            assert http.request("PUT", done, body=blob).status == 201
        entry = {
            "mediaType": MEDIA_TYPE,
            "size": len(payload),
            "digest": str(Digest.of(payload)),
            "annotations": {SIGNATURE: name, "foreign": "<kept>"},
        }
        document = {
            "schemaVersion": 2,
            "mediaType": OCI,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "size": len(config),
                "digest": str(Digest.of(config)),
            },
            "layers": [*manifest["layers"], entry],
        }
        body = json.dumps(document).encode()
        assert http.request("PUT", url, body=body, headers={"Content-Type": OCI}).status == 201


def main() -> None:
    mode, registries, host, path, subject, *names = sys.argv[1:]
    repository = Repository(host, path)
    print("ready", flush=True)
    sys.stdin.readline()
    match mode:
        case "ours":
            ours(Path(registries), repository, Digest(subject), names)
        case "foreign":
            foreign(repository, Digest(subject), names)
        case "ours-referring":
            ours_referring(Path(registries), repository, Digest(subject), names)
        case _:
            foreign_referring(repository, Digest(subject), names)


if __name__ == "__main__":
    main()
