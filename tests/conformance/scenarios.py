"""The cases of the matrix: how an image comes to be as each says, and with which files it is judged."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from service.domain.digests import Digest
from tests.conformance.consumers import Ask, Judge
from tests.support.matrix import ACCEPTS, BY_ITS_FILE, REFUSES, UNTIL_EXPORT
from tests.support.predicates import SLSA, provenance
from tests.support.product import Product
from tests.support.registry import OCI_INDEX, OCI_MANIFEST

NOTATION = frozenset({"notation", "notation-cose"})


@dataclass(frozen=True)
class Image:
    repository: str
    digest: Digest
    reference: str


@dataclass
class Site:
    """A running product, who signs with every key there, and where exports lie."""

    product: Product
    token: str
    place: Path
    exports: int = field(default=0)

    def push(self) -> Image:
        repository = f"matrix/{uuid.uuid4().hex[:12]}"
        files = {"x": uuid.uuid4().bytes}
        digest = self.product.images.push_image(repository, "1.0", files)
        return self.image(repository, digest)

    def push_index(self) -> Image:
        repository = f"matrix/{uuid.uuid4().hex[:12]}"
        children = [
            self.product.images.push_image(
                repository, files={"x": uuid.uuid4().bytes}, architecture=name
            )
            for name in ("amd64", "arm64")
        ]
        return self.image(repository, self.product.images.push_index(repository, children, "1.0"))

    def image(self, repository: str, digest: Digest) -> Image:
        reference = f"{self.product.registry}/{repository}:1.0@{digest}"
        return Image(repository, digest, reference)

    def key(self, form: str) -> str:
        """Make a key that signs in this format."""
        name = f"matrix-{uuid.uuid4().hex[:8]}"
        purpose = "attestation" if form == "attestation" else "image"
        body = {"name": name, "purpose": purpose, "algorithm": "ec-p256"}
        self._done(self.product.call("POST", "/v1/keys", body, who="custodian"))
        if form in NOTATION:
            self.certify(name)
        return name

    def certify(self, name: str) -> None:
        self._done(self.product.call("POST", f"/v1/keys/{name}/self-sign", {}, who="custodian"))

    def rotate(self, name: str) -> None:
        self._done(self.product.call("POST", f"/v1/keys/{name}/versions", {}, who="custodian"))

    def compromise(self, name: str) -> None:
        body = {"state": "compromised", "reason": "stolen"}
        path = f"/v1/keys/{name}/versions/1/state"
        self._done(self.product.call("POST", path, body, who="custodian"))

    def sign(self, form: str, key: str, image: Image, **fields: object) -> None:
        self.sign_image(form, key, image.reference, **fields)

    def sign_image(self, form: str, key: str, reference: str, **fields: object) -> None:
        path = "/v1/attestations" if form == "attestation" else "/v1/signatures"
        body: dict[str, object] = {"key": key, **fields}
        if form == "attestation":
            said = {"predicate_type": SLSA, "predicate": provenance()}
            body["attestations"] = [{"image": reference, **said}]
        else:
            body |= {"images": [{"reference": reference}], "formats": [form]}
        bearer = {"Authorization": f"Bearer {self.token}"}
        answer = self.product.call("POST", path, body, who=None, headers=bearer)
        self._done(answer)
        [item] = answer.body["results"]
        made = [*item["signatures"], *(s for c in item["children"] for s in c["signatures"])]
        assert {one["attachment"]["state"] for one in made} == {"attached"}

    def export(self, key: str) -> Path:
        self.exports += 1
        place = self.place / f"export-{self.exports}"
        words = ["trust", "export", "--url", self.product.url, "--key", key, str(place)]
        program = str(Path(sys.executable).with_name("sealwright"))
        subprocess.run([program, *words], env={}, check=True, capture_output=True)
        return place

    @staticmethod
    def _done(answer: Any) -> None:
        assert answer.status in (200, 201), answer.body


@dataclass
class Scenarios:
    """The images of one format, each made when it is first asked for."""

    site: Site
    form: str

    @cached_property
    def keys(self) -> tuple[str, str]:
        return self.site.key(self.form), self.site.key(self.form)

    @cached_property
    def trusts(self) -> tuple[Path, Path]:
        # The log is named in an export from its first entry on.
        for key in self.keys:
            self.site.sign(self.form, key, self.site.push())
        return self.site.export(self.keys[0]), self.site.export(self.keys[1])

    def ask(self, image: Image, trust: Path, key_file: str = "cosign.pub") -> Ask:
        return Ask(self.site.product, self.form, image.reference, trust, key_file)

    def signed_image(self) -> Image:
        image = self.site.push()
        self.site.sign(self.form, self.keys[0], image)
        return image

    # --- one method a case: what the judge does with it --------------------------------------

    def signed(self, judge: Judge) -> str:
        return _word(judge(self.ask(self._signed, self.trusts[0])))

    def unsigned(self, judge: Judge) -> str:
        return _word(judge(self.ask(self._unsigned, self.trusts[0])))

    def other_key(self, judge: Judge) -> str:
        return _word(judge(self.ask(self._signed, self.trusts[1])))

    def tampered(self, judge: Judge) -> str:
        image, trust = self._tampered
        return _word(judge(self.ask(image, trust)))

    def moved(self, judge: Judge) -> str:
        image, trust = self._moved
        return _word(judge(self.ask(image, trust)))

    def attested(self, judge: Judge) -> str:
        """The other kind of statement alone: of an attestation's client a signature."""
        key = self.trusts[0]
        return _word(judge(self.ask(self._attested, key)))

    def several_keys(self, judge: Judge) -> str:
        return _word(all(judge(self.ask(self._by_two, trust)) for trust in self.trusts))

    def rotated(self, judge: Judge) -> str:
        image, trust = self._rotated
        by_newest = judge(self.ask(image, trust))
        if by_newest:
            return ACCEPTS
        return BY_ITS_FILE if judge(self.ask(image, trust, "cosign-v1.pub")) else REFUSES

    def withdrawn(self, judge: Judge) -> str:
        image, old, new = self._withdrawn
        assert not (new / "cosign-v1.pub").exists()
        if not judge(self.ask(image, old)):
            return REFUSES
        return ACCEPTS if judge(self.ask(image, new)) else UNTIL_EXPORT

    def platforms(self, judge: Judge) -> str:
        return _word(judge(self.ask(self._index, self.trusts[0])))

    # --- the images ----------------------------------------------------------------------------

    @cached_property
    def _signed(self) -> Image:
        return self.signed_image()

    @cached_property
    def _unsigned(self) -> Image:
        return self.site.push()

    @cached_property
    def _attested(self) -> Image:
        image = self.site.push()
        other = "bundle" if self.form == "attestation" else "attestation"
        self.site.sign(other, "release" if other == "bundle" else "build", image)
        return image

    @cached_property
    def _by_two(self) -> Image:
        image = self.site.push()
        for key in self.keys:
            self.site.sign(self.form, key, image)
        return image

    @cached_property
    def _rotated(self) -> tuple[Image, Path]:
        key, image = self.site.key(self.form), self.site.push()
        self.site.sign(self.form, key, image)
        self.site.rotate(key)
        return image, self.site.export(key)

    @cached_property
    def _withdrawn(self) -> tuple[Image, Path, Path]:
        key, image = self.site.key(self.form), self.site.push()
        self.site.sign(self.form, key, image)
        old = self.site.export(key)
        self.site.rotate(key)
        if self.form in NOTATION:
            self.site.certify(key)
        self.site.compromise(key)
        return image, old, self.site.export(key)

    @cached_property
    def _index(self) -> Image:
        image = self.site.push_index()
        self.site.sign(self.form, self.keys[0], image, recursive=True)
        return image

    @cached_property
    def _tampered(self) -> tuple[Image, Path]:
        image = self.signed_image()
        self.site.product.left_alone(image.digest)
        return image, self._put(image, image, _changed)

    @cached_property
    def _moved(self) -> tuple[Image, Path]:
        image, other = self.signed_image(), self.site.push()
        # To another image of the same repository: nothing but the digest tells them apart.
        digest = self.site.product.images.push_image(
            image.repository, "2.0", {"x": uuid.uuid4().bytes}
        )
        other = self.site.image(image.repository, digest)
        other = Image(other.repository, digest, other.reference.replace(":1.0@", ":2.0@"))
        return other, self._put(image, other, lambda content, digest: content)

    def _put(self, image: Image, target: Image, change: Change) -> Path:
        """Lay the signature of `image`, changed, where clients look for that of `target`.

        Returns the files to judge with: an export, whose lookaside is another for OpenPGP.
        """
        trust = self.trusts[0]
        if self.form == "openpgp":
            return self._put_lookaside(image, target, change)
        images = self.site.product.images
        tag = f"sha256-{image.digest.hex}"
        if self.form == "cosign":
            stored = images.get_manifest(image.repository, f"{tag}.sig")
            assert stored is not None
            manifest = json.loads(stored.content)
            self._change_layer(image, manifest, change)
            body = json.dumps(manifest).encode()
            images.push_manifest(image.repository, f"sha256-{target.digest.hex}.sig", body)
            return trust
        [entry] = images.referrer_entries(image.repository, image.digest)
        stored = images.get_manifest(image.repository, str(entry["digest"]))
        assert stored is not None
        manifest = json.loads(stored.content)
        self._change_layer(image, manifest, change)
        manifest["subject"]["digest"] = str(target.digest)
        body = json.dumps(manifest).encode()
        pushed = images.push_manifest(image.repository, str(Digest.of(body)), body)
        listed = {**entry, "mediaType": OCI_MANIFEST, "size": len(body), "digest": str(pushed)}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed]}
        images.push_manifest(
            image.repository, f"sha256-{target.digest.hex}", json.dumps(index).encode(), OCI_INDEX
        )
        return trust

    def _change_layer(self, image: Image, manifest: Any, change: Change) -> None:
        images = self.site.product.images
        [layer] = manifest["layers"]
        content = images.get_blob(image.repository, layer["digest"])
        assert content is not None
        changed = change(content, image.digest)
        layer["digest"] = str(images.push_blob(image.repository, changed))
        layer["size"] = len(changed)

    def _put_lookaside(self, image: Image, target: Image, change: Change) -> Path:
        product = self.site.product
        base = f"{product.url}/lookaside/{product.registry}"
        with urllib.request.urlopen(f"{base}/{self._at(image)}") as answer:
            content = answer.read()
        trust = self.site.export(self.keys[0])
        laid = trust / "laid" / self._at(target)
        laid.parent.mkdir(parents=True)
        laid.write_bytes(change(content, image.digest))
        file = trust / "containers" / "registries.d" / "sealwright.yaml"
        text = file.read_text()
        assert base in text
        file.write_text(text.replace(base, f"file://{trust / 'laid'}"))
        return trust

    @staticmethod
    def _at(image: Image) -> str:
        return f"{image.repository}@sha256={image.digest.hex}/signature-1"


Change = Callable[[bytes, Digest], bytes]


def _word(accepted: bool) -> str:
    return ACCEPTS if accepted else REFUSES


def _changed(content: bytes, digest: Digest) -> bytes:
    """Return what was signed with one character of it changed, in whatever wraps it."""
    plain = digest.hex.encode()
    if plain in content:
        return content.replace(plain, _other(plain))
    document = json.loads(content)
    holder, name, decode = (
        (document["dsseEnvelope"], "payload", base64.b64decode)
        if "dsseEnvelope" in document
        else (document, "payload", base64.urlsafe_b64decode)
    )
    text = holder[name]
    said = decode(text + "=" * (-len(text) % 4))
    assert plain in said
    changed = base64.b64encode(said.replace(plain, _other(plain))).decode()
    if "dsseEnvelope" not in document:
        changed = changed.rstrip("=").translate(str.maketrans("+/", "-_"))
    holder[name] = changed
    return json.dumps(document).encode()


def _other(hexadecimal: bytes) -> bytes:
    return hexadecimal[:-1] + (b"0" if hexadecimal[-1:] != b"0" else b"1")
