"""A real docker-registry for tests, and images built in Python and pushed straight over HTTP.

Nothing here uses the client under test: what it pushes and reads is an independent witness.
"""

from __future__ import annotations

import gzip
import io
import json
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from service.domain.digests import Digest
from tests.support.ports import free_port

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
START_SECONDS = 120.0
_LISTENING = 'msg="listening on 127.0.0.1:'


@dataclass(frozen=True)
class Stored:
    """What a registry holds under a tag or digest."""

    content: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)


def layer_of(files: Mapping[str, bytes]) -> bytes:
    """Return a reproducible tar.gz: the same files give the same bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


class DockerRegistry:
    """One docker-registry process with a storage directory of its own, on a free port.

    `stop` and `start` may alternate: storage and port stay the same.
    """

    def __init__(
        self,
        directory: Path,
        *,
        htpasswd: str | None = None,
        tls: tuple[Path, Path] | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        """`htpasswd` is the text of the file, `tls` certificate and key, `login` what we use."""
        self._directory = directory
        self._htpasswd = htpasswd
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._headers = urllib3.make_headers(basic_auth=":".join(login)) if login else {}
        ca = str(tls[0]) if tls else None
        self._http = urllib3.PoolManager(retries=False, timeout=30, ca_certs=ca, maxsize=16)

    @property
    def host(self) -> str:
        """`127.0.0.1:port`, as references name the registry."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    @property
    def storage(self) -> Path:
        return self._directory / "storage"

    # --- the process ---

    def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._port = self._port or free_port()
        config = self._directory / "config.yml"
        config.write_text(json.dumps(self._config()))  # JSON is YAML
        log = self._directory / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while _LISTENING not in log.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"docker-registry did not start:\n{log.read_text()}")
            time.sleep(0.01)

    def stop(self, *, under_load: bool = False) -> None:
        """End it at once; under load let it answer first what it has begun.

        docker-registry takes a file for whole that it was killed over, and serves a manifest of no
        bytes (500) for good.
        """
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM if under_load else signal.SIGKILL)
            self._process.wait()
            self._process = None
        self._http.clear()

    def _config(self) -> dict[str, object]:
        http: dict[str, object] = {
            "addr": f"127.0.0.1:{self._port}",
            "secret": "of a test",
            "draintimeout": "60s",
        }
        if self._tls is not None:
            http["tls"] = {"certificate": str(self._tls[0]), "key": str(self._tls[1])}
        config: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage)},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": http,
        }
        if self._htpasswd is not None:
            passwords = self._directory / "htpasswd"
            passwords.write_text(self._htpasswd)
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(passwords)}}
        return config

    # --- what a test puts there and finds there ---

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        url = path if "://" in path else self.url + path
        return self._http.request(
            method, url, body=body, headers={**self._headers, **(headers or {})}
        )

    def push_blob(self, repo: str, content: bytes) -> Digest:
        digest = Digest.of(content)
        if self.request("HEAD", f"/v2/{repo}/blobs/{digest}").status == 200:
            return digest
        begun = self.request("POST", f"/v2/{repo}/blobs/uploads/")
        assert begun.status == 202, begun.data
        place = begun.headers["Location"]
        done = self.request(
            "PUT",
            f"{place}{'&' if '?' in place else '?'}digest={digest}",
            body=content,
            headers={"Content-Type": "application/octet-stream"},
        )
        assert done.status == 201, done.data
        return digest

    def push_manifest(
        self, repo: str, reference: str, content: bytes, media_type: str = OCI_MANIFEST
    ) -> Digest:
        done = self.request(
            "PUT",
            f"/v2/{repo}/manifests/{reference}",
            body=content,
            headers={"Content-Type": media_type},
        )
        assert done.status == 201, done.data
        return Digest.of(content)

    def push_image(
        self,
        repo: str,
        tag: str | None = None,
        files: Mapping[str, bytes] | None = None,
        *,
        architecture: str = "amd64",
    ) -> Digest:
        """Push an image of two layers; other files give another digest."""
        base = layer_of({"etc/os-release": b"ID=test\n", "usr/bin/true": b"#!/bin/sh\n" * 40})
        upper = layer_of(files or {"app/main": b"print('hello')\n", "app/data": b"1\n" * 100})
        config = json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Cmd": ["/app/main"]},
                "rootfs": {
                    "type": "layers",
                    "diff_ids": [str(Digest.of(gzip.decompress(part))) for part in (base, upper)],
                },
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": self._descriptor(repo, config, OCI_CONFIG),
                "layers": [self._descriptor(repo, part, OCI_LAYER) for part in (base, upper)],
            }
        ).encode()
        return self.push_manifest(repo, tag or str(Digest.of(manifest)), manifest)

    def push_index(self, repo: str, children: Sequence[Digest], tag: str | None = None) -> Digest:
        entries = []
        for number, digest in enumerate(children):
            child = self.get_manifest(repo, str(digest))
            assert child is not None
            entries.append(
                {
                    "mediaType": child.media_type,
                    "digest": str(digest),
                    "size": len(child.content),
                    "platform": {"os": "linux", "architecture": ("amd64", "arm64")[number % 2]},
                }
            )
        index = json.dumps(
            {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        ).encode()
        return self.push_manifest(repo, tag or str(Digest.of(index)), index, OCI_INDEX)

    def get_manifest(self, repo: str, reference: str) -> Stored | None:
        answer = self.request(
            "GET",
            f"/v2/{repo}/manifests/{reference}",
            headers={"Accept": f"{OCI_MANIFEST}, {OCI_INDEX}"},
        )
        if answer.status == 404:
            return None
        assert answer.status == 200, answer.data
        return Stored(answer.data, answer.headers["Content-Type"])

    def get_blob(self, repo: str, digest: Digest | str) -> bytes | None:
        answer = self.request("GET", f"/v2/{repo}/blobs/{digest}")
        if answer.status == 404:
            return None
        assert answer.status == 200, answer.data
        return answer.data

    def signature_layers(self, repo: str, digest: Digest) -> list[dict[str, object]]:
        """Return the layer descriptors of the `.sig` tag of an image, or none."""
        stored = self.get_manifest(repo, f"sha256-{digest.hex}.sig")
        layers: list[dict[str, object]] = json.loads(stored.content)["layers"] if stored else []
        return layers

    def referrer_entries(self, repo: str, digest: Digest) -> list[dict[str, object]]:
        """Return the descriptors of the fallback index of an image, or none."""
        stored = self.get_manifest(repo, f"sha256-{digest.hex}")
        found: list[dict[str, object]] = json.loads(stored.content)["manifests"] if stored else []
        return found

    def _descriptor(self, repo: str, content: bytes, media_type: str) -> dict[str, object]:
        digest = self.push_blob(repo, content)
        return {"mediaType": media_type, "digest": str(digest), "size": len(content)}


StartRegistry = Callable[..., DockerRegistry]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """One docker-registry for the whole session: use repositories of your own in it."""
    running = DockerRegistry(tmp_path_factory.mktemp("registry"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def start_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRegistry]:
    """Start further registries, each ended with the test; the options are DockerRegistry's."""
    started: list[DockerRegistry] = []

    def start(
        *,
        htpasswd: str | None = None,
        tls: tuple[Path, Path] | None = None,
        login: tuple[str, str] | None = None,
    ) -> DockerRegistry:
        directory = tmp_path_factory.mktemp("registry")
        fresh = DockerRegistry(directory, htpasswd=htpasswd, tls=tls, login=login)
        fresh.start()
        started.append(fresh)
        return fresh

    yield start
    for one in started:
        one.stop()
