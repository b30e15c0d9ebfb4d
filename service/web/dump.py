"""Domain values as JSON values, by hand: an answer may hold 1,000 signatures.

The schemas of `service.web.schemas` document what comes out here, and tests hold it against
them.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from service.domain.attestations import predicate_type_of
from service.domain.callers import Credential
from service.domain.certificates import CertificateChain
from service.domain.clock import rfc3339
from service.domain.digests import Descriptor, Digest
from service.domain.findings import Finding
from service.domain.keys import Key, KeyVersion
from service.domain.log import LogProof
from service.domain.outbox import AttachmentStatus, OrderStatus
from service.domain.pages import Page
from service.domain.payloads import SignedPayload
from service.domain.public_keys import public_key
from service.domain.references import NO_REPOSITORY, Repository
from service.domain.signing import Artifact, Signature, Timestamp, UnknownOutcome
from service.ports.hsm import TokenMechanism, TokenStatus
from service.web.schemas.signing import OUTCOME_UNKNOWN

T = TypeVar("T")
JSONObject = dict[str, Any]


def _base64(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode("ascii")


def _moment(value: datetime | None) -> str | None:
    return None if value is None else rfc3339(value)


def _text(value: Digest | None) -> str | None:
    return None if value is None else f"sha256:{value.hex}"


def _named(value: Repository) -> str | None:
    return None if value == NO_REPOSITORY else str(value)


def page(found: Page[T], dump: Callable[[T], JSONObject]) -> JSONObject:
    return {"items": [dump(item) for item in found.items], "next": found.next}


def made_signature(made: Signature) -> JSONObject:
    """Return a signature as the answer to signing shows it."""
    statement, attachment = made.statement, made.attachment
    kind = predicate_type_of(statement)
    return {
        "id": made.id,
        "format": statement.format,
        **({} if kind is None else {"predicate_type": kind}),
        "key": statement.key,
        "key_version": statement.version,
        "algorithm": made.scheme,
        "payload": _base64(made.payload),
        "signature": _base64(made.signature),
        "created_at": rfc3339(made.created_at),
        "attachment": {
            "state": attachment.state,
            "digest": _text(attachment.digest),
            "media_type": attachment.media_type,
        },
        "log": None if made.log is None else log_proof(made.log),
        "timestamp": None if made.timestamp is None else timestamp(made.timestamp),
    }


def timestamp(made: Timestamp) -> JSONObject:
    return {
        "authority": made.authority,
        "at": rfc3339(made.at),
        "reply": _base64(made.reply),
    }


def log_proof(proof: LogProof) -> JSONObject:
    return {
        "index": proof.index,
        "tree_size": proof.tree_size,
        "root": _base64(proof.root),
        "hashes": [_base64(one) for one in proof.hashes],
        "checkpoint": proof.checkpoint,
        "entry": _base64(proof.entry),
    }


def signed_payload(made: SignedPayload) -> JSONObject:
    signature = made.signature
    statement = signature.statement
    return {
        "id": signature.id,
        "key": statement.key,
        "key_version": statement.version,
        "algorithm": signature.scheme,
        "encoding": made.encoding,
        "digest": str(statement.digest),
        "signature": _base64(made.value),
        "certificate_chain": [_base64(der) for der in made.chain],
        "created_at": rfc3339(signature.created_at),
        "log": None if signature.log is None else log_proof(signature.log),
    }


def signature(made: Signature) -> JSONObject:
    """Return a signature as the record shows it."""
    statement = made.statement
    return {
        **made_signature(made),
        "repository": _named(statement.repository),
        "digest": str(statement.digest),
        "identity": statement.identity,
        "annotations": dict(statement.annotations),
        "caller": made.credential_id,
    }


def unknown_outcome(found: UnknownOutcome) -> JSONObject:
    statement = found.statement
    return {
        "id": found.intent_id,
        "state": OUTCOME_UNKNOWN,
        "format": statement.format,
        "key": statement.key,
        "key_version": statement.version,
        "repository": _named(statement.repository),
        "digest": str(statement.digest),
        "identity": statement.identity,
        "caller": found.credential_id,
        "created_at": rfc3339(found.created_at),
    }


def artifact(made: Artifact) -> JSONObject:
    manifest = made.manifest
    return {
        "manifest": None
        if manifest is None
        else {
            "media_type": made.media_type,
            "digest": str(Digest.of(manifest)),
            "size": len(manifest),
            "content": _base64(manifest),
        },
        "blobs": [
            {"digest": str(Digest.of(blob)), "size": len(blob), "content": _base64(blob)}
            for blob in made.blobs
        ],
        "tag": made.tag,
        "subject": None if made.subject is None else _descriptor(made.subject),
    }


def _descriptor(value: Descriptor) -> JSONObject:
    return {"media_type": value.media_type, "digest": str(value.digest), "size": value.size}


def key(found: Key, *, with_custody: bool) -> JSONObject:
    """Return a key; `with_custody` adds where its versions lie and what the token says."""
    return {
        "name": found.name,
        "purpose": found.purpose,
        "algorithm": found.algorithm,
        "created_at": rfc3339(found.created_at),
        "versions": [key_version(v, with_custody=with_custody) for v in found.versions],
    }


def key_version(found: KeyVersion, *, with_custody: bool) -> JSONObject:
    body: JSONObject = {
        "key": found.key,
        "version": found.version,
        "state": found.state,
        "algorithm": found.algorithm,
        "public_key": public_key(found.public_key).pem(),
        "fingerprint": found.fingerprint,
        "compromised": found.ever_compromised,
        "compromised_since": _moment(found.compromised_since),
        "created_at": rfc3339(found.created_at),
        "certificate": None if found.chain is None else certificate(found.chain),
    }
    if with_custody:
        attributes = found.attributes
        body["locations"] = [
            {"token": place.token, "serial": place.serial, "state": place.state}
            for place in found.locations
        ]
        body["cka_id"] = found.cka_id.hex()
        body["attributes"] = {
            "sensitive": attributes.sensitive,
            "extractable": attributes.extractable,
            "always_sensitive": attributes.always_sensitive,
            "never_extractable": attributes.never_extractable,
            "local": attributes.local,
        }
    return body


def finding(found: Finding) -> JSONObject:
    return {
        "id": found.id,
        "code": found.code,
        "severity": found.severity,
        "subject": found.subject,
        "evidence": dict(found.evidence),
        "opened": rfc3339(found.opened_at),
        "closed": _moment(found.closed_at),
    }


def certificate(found: CertificateChain) -> JSONObject:
    return {
        "origin": found.origin,
        "subject": found.subject.text(),
        "not_before": rfc3339(found.not_before),
        "not_after": rfc3339(found.not_after),
        "thumbprints": found.thumbprints,
    }


def jwk(found: KeyVersion) -> JSONObject:
    return {**public_key(found.public_key).jwk(), "use": "sig"}


def credential(found: Credential) -> JSONObject:
    caller = found.caller
    return {
        "id": caller.credential_id,
        "name": caller.name,
        "person": caller.person,
        "role": caller.role,
        "repositories": caller.repositories,
        "keys": caller.keys,
        "rights": sorted(caller.rights),
        "created_at": rfc3339(found.created_at),
        "expires_at": _moment(found.expires_at),
        "revoked_at": _moment(found.revoked_at),
        "ssh_public_key": found.ssh_public_key,
    }


def attachment(found: AttachmentStatus) -> JSONObject:
    return {
        "id": found.id,
        "signature_id": found.signature_id,
        "repository": str(found.repository),
        "digest": str(found.digest),
        "format": found.format,
        "state": found.state,
        "attempts": found.attempts,
        "next_attempt_at": _moment(found.next_attempt_at),
        "error": _delivery_error(found.error_code, found.error_detail),
        "manifest_digest": _text(found.manifest_digest),
        "updated_at": rfc3339(found.updated_at),
    }


def order(found: OrderStatus) -> JSONObject:
    return {
        "id": found.id,
        "kind": found.kind,
        "state": found.state,
        "repository": str(found.repository),
        "digest": str(found.digest),
        "attempts": found.attempts,
        "due_at": rfc3339(found.due_at),
        "error": _delivery_error(found.error_code, found.error_detail),
        "created_at": rfc3339(found.created_at),
    }


def _delivery_error(code: str | None, detail: str | None) -> JSONObject | None:
    return None if code is None else {"code": code, "detail": detail}


def mechanism(found: TokenMechanism) -> JSONObject:
    return {
        "name": found.name,
        "min_key_size": found.min_key_size,
        "max_key_size": found.max_key_size,
        "flags": found.flags,
    }


def slot(found: TokenStatus) -> JSONObject:
    return {
        "token": found.token,
        "name": found.name,
        "module": found.module,
        "serial": found.serial,
        "initialized": found.initialized,
        "flags": found.flags,
        "free_bytes": found.free_bytes,
        "state": found.state,
        "detail": found.detail,
    }
