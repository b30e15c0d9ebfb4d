"""A registry of one repository in memory, with the referrers API or without, and with faults."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from service.domain.digests import Digest
from tests.support.attach_process import BUNDLE
from tests.support.registry import OCI_INDEX, OCI_MANIFEST
from tests.support.scripted_http import Received, Scripted

JSON = {"Content-Type": "application/json"}

Fault = Callable[[Received], Scripted | None]


def error(status: int, code: str, **headers: str) -> Scripted:
    body = json.dumps({"errors": [{"code": code, "message": "m"}]}).encode()
    return Scripted(status, {**JSON, **headers}, body)


def descriptor(content: bytes, **more: object) -> dict[str, object]:
    digest = str(Digest.of(content))
    return {"mediaType": OCI_MANIFEST, "size": len(content), "digest": digest, **more}


def index_of(*entries: object) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}
    return json.dumps(document).encode()


class SmallRegistry:
    """A registry of one repository in memory; `fault` may answer in its place.

    `api`: it lists referrers, `page` of them at a time, those of manifests that it holds.
    """

    def __init__(self) -> None:
        self.api = True
        self.page = 100
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.fault: Fault = lambda _: None
        self.after_write: Callable[[], None] = lambda: None

    def __call__(self, request: Received) -> Scripted:
        return self.fault(request) or self._answer(request)

    def _answer(self, request: Received) -> Scripted:
        url = urlsplit(request.path)
        blob = re.fullmatch(r"/v2/app/blobs/(sha256:[0-9a-f]{64})", url.path)
        manifest = re.fullmatch(r"/v2/app/manifests/(.+)", url.path)
        match request.method:
            case "HEAD" | "GET" if blob:
                content = self.blobs.get(blob[1])
                return error(404, "BLOB_UNKNOWN") if content is None else Scripted(200, {}, content)
            case "GET" if url.path.startswith("/v2/app/referrers/"):
                return self._listed(url.path, int(parse_qs(url.query).get("from", ["0"])[0]))
            case "GET" | "HEAD" if manifest:
                return self._manifest(manifest[1])
            case "POST":
                return Scripted(202, {"Location": "/upload/1"})
            case "PUT" if url.path.startswith("/upload/"):
                self.blobs[parse_qs(url.query)["digest"][0]] = request.body
                return Scripted(201)
            case _:
                assert manifest
                self.manifests[manifest[1]] = request.body
                self.after_write()
                return Scripted(201)

    def _manifest(self, reference: str) -> Scripted:
        content = self.manifests.get(reference)
        if content is None:
            return error(404, "MANIFEST_UNKNOWN")
        kind = json.loads(content)["mediaType"]
        digest = str(Digest.of(content))
        return Scripted(200, {"Content-Type": kind, "Docker-Content-Digest": digest}, content)

    def _listed(self, path: str, start: int) -> Scripted:
        if not self.api:
            return Scripted(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        subject = path.rpartition("/")[2].encode()
        held = [c for c in self.manifests.values() if b'"subject"' in c and subject in c]
        entries = [descriptor(c, artifactType=BUNDLE) for c in held[start : start + self.page]]
        headers = {"Content-Type": OCI_INDEX}
        if len(held) > start + self.page:
            following = f"{path}?from={start + self.page}"
            headers["Link"] = f'<{following}>; rel="next"'
        return Scripted(200, headers, index_of(*entries))
