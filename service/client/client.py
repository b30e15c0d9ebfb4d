"""The calls of the API, one method each, answered with the JSON objects of the contract.

Requests that are safe to repeat are repeated while the service says that a retry may help:
reads, verifications, signings and attestations, which always carry an Idempotency-Key so that a repeated
one makes nothing twice. Everything else is sent once.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from service.client.errors import UnexpectedAnswerError
from service.client.retries import NO_RETRIES, Retries
from service.client.settings import ClientSettings
from service.client.transport import Answer, Transport

JSONObject = dict[str, Any]


class SealwrightClient:
    def __init__(self, settings: ClientSettings, retries: Retries | None = None) -> None:
        self._url = settings.url
        self._transport = Transport(settings)
        self._retries = retries or Retries()

    # --- signing and verifying --------------------------------------------------------

    def sign(self, request: Mapping[str, Any], *, idempotency_key: str | None = None) -> JSONObject:
        """Sign as the body of `POST /v1/signatures` says, and return its answer.

        Items that failed for a passing reason are tried again, under the same
        Idempotency-Key: the service repeats only those.

        Raises:
            ProblemError, UnreachableError, UnexpectedAnswerError.
        """
        return self._make("/v1/signatures", request, idempotency_key)

    def attest(
        self, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> JSONObject:
        """Attest as the body of `POST /v1/attestations` says; as `sign` in everything else."""
        return self._make("/v1/attestations", request, idempotency_key)

    def submit_signing(
        self, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> JSONObject:
        """Ask for the same, to be done later, and return the job."""
        headers = {
            "Idempotency-Key": idempotency_key or secrets.token_urlsafe(24),
            "Prefer": "respond-async",
        }
        return self._send(
            "POST", "/v1/signatures", body=request, headers=headers, repeat=True
        ).json()

    def signing_job(self, job_id: str) -> JSONObject:
        return self._object("GET", f"/v1/signature-jobs/{_part(job_id)}")

    def sign_payload(self, key: str, encoding: str, payload: bytes) -> JSONObject:
        """Have signed what another tool has made; see `POST /v1/keys/{name}/payload-signatures`."""
        headers = {"Idempotency-Key": secrets.token_urlsafe(24)}
        body = {"encoding": encoding, "payload": b64encode(payload).decode()}
        path = f"/v1/keys/{_part(key)}/payload-signatures"
        return self._send("POST", path, body=body, headers=headers, repeat=True).json()

    def verify(self, references: Sequence[str], *, recursive: bool = False) -> JSONObject:
        images = [{"reference": reference} for reference in references]
        body = {"images": images, "recursive": recursive}
        return self._object("POST", "/v1/verifications", body=body, repeat=True)

    # --- records ----------------------------------------------------------------------

    def signatures(self, **wanted: str | None) -> Iterator[JSONObject]:
        return self._items("/v1/signatures", wanted)

    def signature(self, signature_id: str) -> JSONObject:
        return self._object("GET", f"/v1/signatures/{_part(signature_id)}")

    def attachments(self, **wanted: str | None) -> Iterator[JSONObject]:
        return self._items("/v1/attachments", wanted)

    def retry_attachment(self, attachment_id: str) -> JSONObject:
        return self._object("POST", f"/v1/attachments/{_part(attachment_id)}/retry")

    def orders(self, state: str | None = None) -> Iterator[JSONObject]:
        return self._items("/v1/outbox", {"state": state})

    def retry_parked(self) -> int:
        retried = self._object("POST", "/v1/outbox/retry").get("retried")
        if not isinstance(retried, int):
            raise UnexpectedAnswerError("the answer does not say how many were retried")
        return retried

    # --- the log ----------------------------------------------------------------------

    def log_file(self, path: str, *, audit: bool = False) -> bytes:
        """Return a checkpoint, a tile or a bundle, by its path within the log."""
        log = "audit-log" if audit else "log"
        return self._send("GET", f"/v1/{log}/{path}", headers={"Accept": "*/*"}).content

    # --- keys -------------------------------------------------------------------------

    def keys(self, purpose: str | None = None) -> Iterator[JSONObject]:
        return self._items("/v1/keys", {"purpose": purpose})

    def key(self, name: str) -> JSONObject:
        return self._object("GET", f"/v1/keys/{_part(name)}")

    def create_key(
        self,
        name: str,
        purpose: str,
        *,
        algorithm: str,
        token: str | None = None,
        state: str | None = None,
    ) -> JSONObject:
        body = {"name": name, "purpose": purpose, "algorithm": algorithm}
        if token is not None:
            body["token"] = token
        if state is not None:
            body["state"] = state
        return self._object("POST", "/v1/keys", body=body)

    def rotate_key(self, name: str, wanted: Mapping[str, Any]) -> JSONObject:
        return self._object("POST", f"/v1/keys/{_part(name)}/versions", body=wanted)

    def move_version(self, name: str, version: int, wanted: Mapping[str, Any]) -> JSONObject:
        path = f"/v1/keys/{_part(name)}/versions/{version}/state"
        return self._object("POST", path, body=wanted)

    def reissue(self, name: str, version: int, *, dry_run: bool) -> JSONObject:
        """Have everything signed again under this version, and return the job."""
        path = f"/v1/keys/{_part(name)}/versions/{version}/reissue"
        return self._object("POST", path, body={"dry_run": dry_run})

    def reissue_job(self, job_id: str) -> JSONObject:
        return self._object("GET", f"/v1/reissue-jobs/{_part(job_id)}")

    def adopt_key(self, name: str, wanted: Mapping[str, Any]) -> JSONObject:
        return self._object("POST", f"/v1/keys/{_part(name)}/adopt", body=wanted)

    def public_key(
        self, name: str, *, accept: str, version: int | None = None, every: bool = False
    ) -> str:
        """Return the public key as text of the media type `accept`."""
        query = _query(
            {
                "version": None if version is None else str(version),
                "all": "true" if every else None,
            }
        )
        answer = self._send(
            "GET", f"/v1/keys/{_part(name)}/public-key{query}", headers={"Accept": accept}
        )
        return answer.content.decode()

    # --- certificates -----------------------------------------------------------------

    def request_certificate(self, name: str, version: int, subject: str) -> JSONObject:
        path = f"/v1/keys/{_part(name)}/versions/{version}/csr"
        return self._object("POST", path, body={"subject": subject})

    def import_chain(self, name: str, version: int, certificates: Sequence[str]) -> JSONObject:
        path = f"/v1/keys/{_part(name)}/versions/{version}/certificate-chain"
        return self._object("PUT", path, body={"certificates": list(certificates)})

    def self_sign(self, name: str, wanted: Mapping[str, Any]) -> JSONObject:
        return self._object("POST", f"/v1/keys/{_part(name)}/self-sign", body=wanted)

    def certificate_chain(self, name: str, version: int | None = None) -> str:
        """Return the chain as PEM, leaf first."""
        query = _query({"version": None if version is None else str(version)})
        headers = {"Accept": "application/pem-certificate-chain"}
        path = f"/v1/keys/{_part(name)}/certificate-chain{query}"
        return self._send("GET", path, headers=headers).content.decode()

    # --- trust ------------------------------------------------------------------------

    def trust_files(self, key: str | None = None) -> dict[str, bytes]:
        """Return every file of an export by its path, which nobody has checked."""
        found = self._object("GET", "/v1/trust/export" + _query({"key": key, "url": self._url}))
        try:
            return {file["path"]: b64decode(file["content"]) for file in found["files"]}
        except (KeyError, TypeError, ValueError) as error:
            raise UnexpectedAnswerError("an export without files") from error

    # --- credentials and slots --------------------------------------------------------

    def create_credential(self, wanted: Mapping[str, Any]) -> JSONObject:
        return self._object("POST", "/v1/credentials", body=wanted)

    def credentials(self) -> Iterator[JSONObject]:
        return self._items("/v1/credentials", {})

    def change_credential(self, name: str, wanted: Mapping[str, Any]) -> JSONObject:
        return self._object("PATCH", f"/v1/credentials/{_part(name)}", body=wanted)

    def revoke_credential(self, name: str) -> JSONObject:
        return self._object("DELETE", f"/v1/credentials/{_part(name)}")

    def slots(self) -> Iterator[JSONObject]:
        return self._items("/v1/slots", {})

    def mechanisms(self, token: str) -> list[JSONObject]:
        return list(self._items(f"/v1/slots/{_part(token)}/mechanisms", {}))

    def login(self, token: str) -> JSONObject:
        return self._object("POST", f"/v1/slots/{_part(token)}/login")

    # --- maintenance ------------------------------------------------------------------

    def maintenance(self) -> JSONObject:
        return self._object("GET", "/v1/maintenance")

    def turn_maintenance(self, *, on: bool, reason: str | None = None) -> JSONObject:
        body = {"on": on} if reason is None else {"on": on, "reason": reason}
        return self._object("PUT", "/v1/maintenance", body=body)

    # --- approvals and quorum rules -----------------------------------------------------

    def approvals(self, **wanted: str | None) -> Iterator[JSONObject]:
        return self._items("/v1/approvals", wanted)

    def approval(self, approval_id: str) -> JSONObject:
        return self._object("GET", f"/v1/approvals/{_part(approval_id)}")

    def approve(self, approval_id: str, wanted: Mapping[str, Any]) -> JSONObject:
        return self._object("POST", f"/v1/approvals/{_part(approval_id)}/approve", body=wanted)

    def reject(self, approval_id: str, wanted: Mapping[str, Any]) -> JSONObject:
        return self._object("POST", f"/v1/approvals/{_part(approval_id)}/reject", body=wanted)

    def minutes(self, name: str) -> JSONObject:
        return self._object("GET", f"/v1/minutes/{_part(name)}")

    def quorum(self) -> JSONObject:
        return self._object("GET", "/v1/policy/quorum")

    def loosen_quorum(self) -> JSONObject:
        return self._object("POST", "/v1/policy/quorum/loosening")

    # --- how ----------------------------------------------------------------------------

    def _make(
        self, path: str, request: Mapping[str, Any], idempotency_key: str | None
    ) -> JSONObject:
        headers = {"Idempotency-Key": idempotency_key or secrets.token_urlsafe(24)}
        return self._retries.run(
            lambda: self._transport.send("POST", path, body=request, headers=headers),
            _worth_signing_again,
        ).results_or_problem()

    def _items(self, path: str, wanted: Mapping[str, str | None]) -> Iterator[JSONObject]:
        """Yield the items of every page of a list."""
        cursor: str | None = None
        while True:
            page = self._object("GET", path + _query({**wanted, "cursor": cursor}))
            items, following = page.get("items"), page.get("next")
            if not isinstance(items, list):
                raise UnexpectedAnswerError("a list without items")
            yield from items
            if not isinstance(following, str) or following == cursor:
                return
            cursor = following

    def _object(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        repeat: bool = False,
    ) -> JSONObject:
        return self._send(method, path, body=body, repeat=repeat).json()

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool = False,
    ) -> Answer:
        retries = self._retries if repeat or method == "GET" else NO_RETRIES
        answer = retries.run(
            lambda: self._transport.send(method, path, body=body, headers=headers),
            _asks_for_retry,
        )
        return answer.successful()


def _asks_for_retry(answer: Answer) -> bool:
    return answer.is_problem and answer.problem().problem.retryable


def _worth_signing_again(answer: Answer) -> bool:
    """Whether the request, or an item of it, failed for a passing reason."""
    if answer.is_problem:
        return _asks_for_retry(answer)
    if not answer.has_results:
        return False
    return any(failed_in_passing(item) for item in answer.json()["results"])


def failed_in_passing(item: Any) -> bool:
    """Whether the item, or a manifest of its index, failed for a passing reason."""
    if not isinstance(item, dict):
        return False
    error, children = item.get("error"), item.get("children")
    if isinstance(error, dict) and error.get("retryable") is True:
        return True
    return isinstance(children, list) and any(failed_in_passing(child) for child in children)


def _part(text: str) -> str:
    return quote(text, safe="")


def _query(wanted: Mapping[str, str | None]) -> str:
    given = {name: value for name, value in wanted.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
