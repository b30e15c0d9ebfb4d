"""A service with a registry, and a thief of its key."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from typing import Any

from service.bootstrap.api import Service
from service.domain.digests import Digest
from service.domain.keys import Scheme
from service.domain.signing import Signature
from service.domain.verdicts import ImageVerdict
from service.formats.siglist import SIGNATURE_ANNOTATION
from service.formats.simplesigning import TIMESTAMP_ANNOTATION
from service.ports.hsm import ToSign
from tests.support.registry import DockerRegistry
from tests.support.services import sign_image, verdict

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"


@dataclass
class Site:
    """A service, its registry, and a repository of this test's own."""

    service: Service
    registry: DockerRegistry
    repository: str

    def push(self) -> str:
        digest = self.registry.push_image(self.repository, None, {"x": uuid.uuid4().bytes})
        return f"{self.registry.host}/{self.repository}@{digest}"

    def signed(self) -> tuple[str, Signature]:
        image = self.push()
        item = sign_image(self.service, image)
        assert item.error is None
        return image, item.signatures[0]

    def verdict(self, image: str) -> ImageVerdict:
        return verdict(self.service, image)

    def attach_only(
        self, image: str, payload: bytes, signature: bytes, *, stamp: bytes | None = None
    ) -> None:
        """Put this, and nothing else, where cosign looks for signatures."""
        digest = Digest.parse(image.partition("@")[2])
        config = b"{}"
        layer: dict[str, Any] = {
            "mediaType": SIMPLE_SIGNING,
            "size": len(payload),
            "digest": str(self.registry.push_blob(self.repository, payload)),
            "annotations": {SIGNATURE_ANNOTATION: base64.b64encode(signature).decode()},
        }
        if stamp is not None:
            text = json.dumps({"SignedRFC3161Timestamp": base64.b64encode(stamp).decode()})
            layer["annotations"][TIMESTAMP_ANNOTATION] = text
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "size": len(config),
                "digest": str(self.registry.push_blob(self.repository, config)),
            },
            "layers": [layer],
        }
        self.registry.push_manifest(
            self.repository, f"sha256-{digest.hex}.sig", json.dumps(manifest).encode()
        )

    def stolen(self, payload: bytes) -> bytes:
        """Sign with the private key behind the record's back, as its thief would."""
        version = self.service.operations.keys.get("release").versions[0]
        [made] = self.service.keyring.sign(
            version, Scheme.ECDSA_P256_SHA256, [ToSign(payload, lambda _: None)]
        )
        assert isinstance(made, bytes)
        return made
