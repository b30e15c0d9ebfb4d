"""Images to sign, and the bare upload loop that signing and attaching them is held against.

The loop does for each image what nobody who attaches a signature can leave out: two blob
uploads (POST, PUT) and the PUT of a manifest. It asks for nothing first and reads nothing back.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import urllib3

from benchmarks.ceilings import BenchmarkError

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
PAYLOAD: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
PAYLOAD_BYTES: Final = 250  # as a simple-signing payload
SIGNATURE_CHARS: Final = 96  # as a P-256 signature in base64


@dataclass(frozen=True, slots=True)
class Registry:
    """One repository of a registry, used by `concurrency` threads."""

    host: str
    repository: str
    concurrency: int

    def push_images(self, count: int) -> Sequence[str]:
        """Push small images that differ, and return their digests."""
        with _pool(self) as http, ThreadPoolExecutor(self.concurrency) as threads:
            layer = _upload(http, self.repository, os.urandom(PAYLOAD_BYTES))

            def push(_: int) -> str:
                config = json.dumps({"architecture": "amd64", "id": os.urandom(16).hex()}).encode()
                uploaded = _upload(http, self.repository, config)
                manifest = _manifest(config=(uploaded, len(config)), layer=(layer, PAYLOAD_BYTES))
                digest = _digest(manifest)
                _put_manifest(http, self.repository, digest, manifest)
                return digest

            return list(threads.map(push, range(count)))

    def upload_bare(self, count: int) -> float:
        """Upload as many signature-like things side by side, and return the seconds it took."""
        with _pool(self) as http, ThreadPoolExecutor(self.concurrency) as threads:

            def upload(_: int) -> None:
                payload = os.urandom(PAYLOAD_BYTES)
                config = json.dumps({"rootfs": {"diff_ids": [_digest(payload)]}}).encode()
                layer = (_upload(http, self.repository, payload), len(payload))
                manifest = _manifest(
                    config=(_upload(http, self.repository, config), len(config)),
                    layer=layer,
                    annotation="s" * SIGNATURE_CHARS,
                )
                tag = f"sha256-{os.urandom(32).hex()}.sig"
                _put_manifest(http, self.repository, tag, manifest)

            # Threads and connections are there before the clock starts, as the service's are.
            list(threads.map(lambda _: http.request("GET", "/v2/").data, range(self.concurrency)))
            began = time.perf_counter()
            list(threads.map(upload, range(count)))
            return time.perf_counter() - began


def _pool(registry: Registry) -> urllib3.HTTPConnectionPool:
    host, _, port = registry.host.rpartition(":")
    return urllib3.HTTPConnectionPool(
        host, int(port), maxsize=registry.concurrency, block=True, retries=False, timeout=30
    )


def _upload(http: urllib3.HTTPConnectionPool, repository: str, content: bytes) -> str:
    """Upload a blob: POST for a place, PUT into it (OCI distribution 1.1, monolithic)."""
    digest = _digest(content)
    begun = http.request("POST", f"/v2/{repository}/blobs/uploads/")
    _expect(begun, 202)
    place = urllib3.util.parse_url(begun.headers["Location"]).request_uri
    done = http.request(
        "PUT",
        f"{place}&digest={digest}",
        body=content,
        headers={"Content-Type": "application/octet-stream"},
    )
    _expect(done, 201)
    return digest


def _put_manifest(
    http: urllib3.HTTPConnectionPool, repository: str, reference: str, manifest: bytes
) -> None:
    path = f"/v2/{repository}/manifests/{reference}"
    _expect(http.request("PUT", path, body=manifest, headers={"Content-Type": MANIFEST}), 201)


def _manifest(
    *, config: tuple[str, int], layer: tuple[str, int], annotation: str | None = None
) -> bytes:
    entry: dict[str, object] = {"mediaType": PAYLOAD, "digest": layer[0], "size": layer[1]}
    if annotation is not None:
        entry["annotations"] = {"dev.cosignproject.cosign/signature": annotation}
    body = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config[0], "size": config[1]},
        "layers": [entry],
    }
    return json.dumps(body).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def _expect(answer: urllib3.BaseHTTPResponse, status: int) -> None:
    if answer.status != status:
        raise BenchmarkError(f"the registry answered {answer.status}: {answer.data[:300]!r}")
