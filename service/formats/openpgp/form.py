"""containers/image's simple signing (containers-signature.5): a payload in an OpenPGP message.

What skopeo, podman, buildah and CRI-O check with `signedBy`. The payload is read as strictly
as they read it (signature/simple.go): nothing unknown outside `optional`, nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from service.domain.digests import Descriptor, Digest
from service.domain.errors import InvalidRequestError
from service.domain.keys import KeyVersion, Scheme
from service.domain.outbox import OrderKind
from service.domain.public_keys import SignatureInvalidError, public_key
from service.domain.references import Reference, Repository
from service.domain.signing import LookasideFile, Signature, Statement
from service.formats import strictjson
from service.formats.openpgp import message as openpgp
from service.formats.openpgp.packets import MessageMalformedError
from service.translog.rekor import hashedrekord

FORMAT: Final = "openpgp"
PAYLOAD_TYPE: Final = "atomic container signature"
CREATOR: Final = "Sealwright"
_OURS: Final = frozenset({"creator", "timestamp"})


@dataclass(frozen=True, slots=True)
class UnverifiedContent:
    """What a message claims; nothing of it is true before its signature is checked."""

    unverified_digest: Digest
    unverified_identity: str


def key_packet(version: KeyVersion) -> openpgp.PublicKeyPacket:
    """Return the OpenPGP form of a version: always the same, for its time is part of its name."""
    return openpgp.PublicKeyPacket.of(version.public_key, version.created_at)


def user_id(version: KeyVersion) -> str:
    return f"{version.key} v{version.version} ({CREATOR})"


def parse_content(content: bytes) -> UnverifiedContent:
    """Read what is inside a message.

    Raises:
        MessageMalformedError: containers/image would refuse it.
    """
    try:
        top = _members(strictjson.load(content), "critical", "optional")
        critical = _members(top["critical"], "type", "image", "identity")
        digest = _members(critical["image"], "docker-manifest-digest")["docker-manifest-digest"]
        identity = _members(critical["identity"], "docker-reference")["docker-reference"]
        claim = UnverifiedContent(Digest.parse(digest), identity)
    except (ValueError, TypeError) as error:
        raise MessageMalformedError("the content names no image") from error
    if critical["type"] != PAYLOAD_TYPE or not isinstance(identity, str):
        raise MessageMalformedError(f"the type is not {PAYLOAD_TYPE!r}")
    return claim


def _members(value: object, *names: str) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise MessageMalformedError(f"not an object with exactly {', '.join(names)}")
    return value


class OpenPGPFormat:
    """service.ports.formats.SignatureFormat for signatures that the lookaside serves."""

    name: str = FORMAT
    kind: OrderKind = OrderKind.LOOKASIDE
    signs_descriptor: bool = False

    def scheme(self, version: KeyVersion) -> Scheme:
        return openpgp.SCHEMES[version.algorithm]  # a test holds the table complete

    def default_identity(self, repository: Repository, reference: Reference) -> str:
        # The rule that policies have by default accepts an image by its tag only under a
        # name with that tag.
        return str(repository) if reference.tag is None else f"{repository}:{reference.tag}"

    def payload(self, statement: Statement, *, version: KeyVersion, at: datetime) -> bytes:
        """Return everything that is hashed: content, head of the signature, trailer.

        Raises:
            InvalidRequestError: text that is not Unicode, or an annotation that has the name
                of one of ours.
        """
        optional: dict[str, object] = dict(statement.annotations)
        taken = _OURS & optional.keys()
        if taken:
            rule = "containers/image gives this name a meaning of its own"
            raise InvalidRequestError(
                rule, errors={"annotations": {name: [rule] for name in sorted(taken)}}
            )
        optional |= {"creator": CREATOR, "timestamp": int(at.timestamp())}
        try:
            content = strictjson.dump(
                {
                    "critical": {
                        "identity": {"docker-reference": statement.identity},
                        "image": {"docker-manifest-digest": str(statement.digest)},
                        "type": PAYLOAD_TYPE,
                    },
                    "optional": dict(sorted(optional.items())),
                }
            )
        except strictjson.StrictJSONError as error:
            raise InvalidRequestError(f"identity or annotations: {error}") from error
        return openpgp.signing_payload(content, key_packet(version), at)

    def message(self, payload: bytes, scheme: Scheme) -> bytes:
        return openpgp.message(payload, scheme)

    def check(
        self,
        statement: Statement,
        payload: bytes,
        signature: bytes,
        *,
        version: KeyVersion,
        scheme: Scheme,
    ) -> None:
        """Check a signature, by way of the message that will be served.

        Raises:
            SignatureInvalidError.
        """
        packet = key_packet(version)
        read = openpgp.parse_message(openpgp.signed_message(payload, signature, scheme))
        claim = parse_content(read.unverified_content)
        if claim.unverified_digest != statement.digest:
            raise SignatureInvalidError(f"the content is about {claim.unverified_digest}")
        if read.unverified_fingerprint != packet.fingerprint or read.scheme is not scheme:
            raise SignatureInvalidError("the message names another key")
        hashed = openpgp.message(read.payload, scheme)
        public_key(version.public_key).verify(scheme, hashed, read.signature)

    def log_entry(
        self, payload: bytes, signature: bytes, *, public_key: bytes, scheme: Scheme
    ) -> bytes:
        return hashedrekord(openpgp.message(payload, scheme), signature, public_key)

    def stamped(self, signature: bytes, scheme: Scheme) -> bytes | None:
        return None  # GnuPG and containers/image read none

    def attachment(self, signature: Signature, subject: Descriptor) -> LookasideFile:
        return LookasideFile(
            openpgp.signed_message(signature.payload, signature.signature, signature.scheme)
        )
