"""Our own OCI distribution client (OCI distribution specification 1.1).

Reads answer a value, None (the registry itself said that it has none) or an error (nobody
knows), as service.ports.registry asks. Every content is compared with the digest that was
asked for, or that the registry itself named; what is no JSON manifest of a known type is no
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Final
from urllib.parse import quote

from service.domain.clock import Clock
from service.domain.digests import Descriptor, Digest
from service.domain.errors import RegistryUnavailableError, ServiceError
from service.domain.limits import MAX_BLOB_BYTES
from service.domain.references import Repository
from service.ports.registry import Manifest
from service.registry.answers import Answer
from service.registry.book import Registries
from service.registry.config import RegistryConfig
from service.registry.locks import KeyedLocks
from service.registry.manifests import (
    ACCEPT,
    compare,
    described,
    head_says_absent,
    manifest_type,
    named_digest,
)
from service.registry.session import Access, RegistrySession

UPLOAD_ATTEMPTS: Final = 3
_RACED: Final = frozenset({"DIGEST_INVALID", "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})
_LACKS_CONTENT: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})
_OK, _CREATED, _ACCEPTED, _NOT_FOUND, _INTERNAL_SERVER_ERROR = 200, 201, 202, 404, 500


class MissingContentError(Exception):
    """The registry refuses a manifest for want of what it lists. For attaching alone."""


class TornReadError(Exception):
    """A 500 to a read: docker-registry's answer while somebody writes the same link.

    Its filesystem storage writes links in place, so a reader may meet an empty one. For
    `attach` alone, which reads where others write; `refusal` is what it means to others.
    """

    def __init__(self, refusal: ServiceError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class OCIClient:
    """service.ports.registry.RegistryReader, and the writes that attaching needs.

    Thread-safe and cheap to make: nothing is opened before first use. `_lock` guards
    `_sessions`, one for each registry as it is configured now.
    """

    def __init__(self, registries: Registries, clock: Clock) -> None:
        self._registries = registries
        self._clock = clock
        self._lock = Lock()
        self._sessions: dict[str, RegistrySession] = {}
        self._uploads = KeyedLocks()

    # --- reading ---

    def public_repository(self, repository: Repository) -> Repository:
        return Repository(self._registries.lookup(repository.host).public_name, repository.path)

    def public_names(self) -> Sequence[str]:
        """service.ports.registry.RegistryNames."""
        return [config.public_name for config in self._registries.all()]

    def resolve(self, repository: Repository, reference: str | Digest) -> Descriptor | None:
        session = self.session(repository)
        answer = session.request(
            "HEAD",
            manifest_path(repository, reference),
            Access.pull(repository),
            headers={"Accept": ACCEPT},
        )
        if answer.status == _OK and (told := described(answer)) is not None:
            compare(answer, reference, told.digest)
            return told
        if answer.status not in (_OK, _NOT_FOUND):
            raise self.refusal(answer, "a question for a manifest")
        # A 404 without a body may be anybody's, and some registries leave headers out.
        found = self.manifest(repository, reference)
        return None if found is None else found.descriptor

    def manifest(self, repository: Repository, reference: str | Digest) -> Manifest | None:
        access = Access.pull(repository)
        try:
            return self.manifest_until(repository, reference, access, deadline=None)
        except TornReadError as error:
            raise error.refusal from error

    def manifest_until(
        self,
        repository: Repository,
        reference: str | Digest,
        access: Access,
        *,
        deadline: float | None,
    ) -> Manifest | None:
        """As `manifest`, with the access to ask for and a deadline (monotonic).

        Raises:
            TornReadError: the registry could not read what it has, just now.
        """
        session = self.session(repository)
        answer = session.request(
            "GET",
            manifest_path(repository, reference),
            access,
            headers={"Accept": ACCEPT},
            max_bytes=session.config.limits.max_manifest_bytes,
            deadline=deadline,
        )
        if answer.status == _INTERNAL_SERVER_ERROR:
            raise TornReadError(self.refusal(answer, "a request for a manifest"))
        if not self._found(answer, "a request for a manifest"):
            return None
        digest = Digest.of(answer.content)
        compare(answer, reference, digest)
        named = named_digest(answer)
        if named is not None and named != digest:
            raise RegistryUnavailableError(f"{answer.host} sent other content than it named")
        return Manifest(
            Descriptor(manifest_type(answer), digest, len(answer.content)), answer.content
        )

    def blob(self, repository: Repository, digest: Digest) -> bytes | None:
        answer = self.session(repository).request(
            "GET",
            _blob_path(repository, digest),
            Access.pull(repository),
            max_bytes=MAX_BLOB_BYTES,
        )
        if not self._found(answer, "a request for a blob"):
            return None
        compare(answer, digest, Digest.of(answer.content))
        return answer.content

    def has_blob(self, repository: Repository, digest: Digest, *, deadline: float | None) -> bool:
        """Return whether the registry holds the blob.

        Raises:
            RegistryUnavailableError, RegistryDeniedError: nobody knows.
        """
        path, access = _blob_path(repository, digest), Access.push(repository)
        answer = self.session(repository).request("HEAD", path, access, deadline=deadline)
        if answer.status == _NOT_FOUND and not head_says_absent(answer):
            # A 404 without a body may be anybody's: the body says whose it is.
            answer = self.session(repository).request(
                "GET", path, access, max_bytes=MAX_BLOB_BYTES, deadline=deadline
            )
            return self._found(answer, "a question for a blob")
        if answer.status == _NOT_FOUND:
            return False
        if answer.status != _OK:
            raise self.refusal(answer, "a question for a blob")
        return True

    # --- writing ---

    def upload_blob(
        self,
        repository: Repository,
        content: bytes,
        *,
        may_exist: bool,
        deadline: float | None,
    ) -> None:
        """Upload a blob (end-4a and end-6), or leave it at a HEAD if it `may_exist` and does.

        docker-registry refuses one of two simultaneous uploads of one blob: threads of this
        process take turns, and what another process got in the way of is asked for again.

        Raises:
            RegistryRefusedError, RegistryUnavailableError, RegistryDeniedError.
        """
        digest = Digest.of(content)
        with self._uploads.hold((str(repository), digest.hex)) as waited:
            for attempt in range(UPLOAD_ATTEMPTS):
                # Who had to wait finds the blob that the other has just uploaded.
                expected = may_exist or waited or attempt > 0
                if expected and self.has_blob(repository, digest, deadline=deadline):
                    return
                if self._upload(repository, digest, content, deadline=deadline):
                    return
        raise RegistryUnavailableError(f"{repository.host} lost an upload to another of the same")

    def _upload(
        self, repository: Repository, digest: Digest, content: bytes, *, deadline: float | None
    ) -> bool:
        """Upload once; return False if another upload of the same blob got in its way."""
        session, access = self.session(repository), Access.push(repository)
        begun = session.request(
            "POST", f"/v2/{repository.path}/blobs/uploads/", access, deadline=deadline
        )
        if begun.status != _ACCEPTED:
            raise self.refusal(begun, "the beginning of an upload", writing=True)
        done = session.request(
            "PUT",
            session.upload_url(begun, digest),
            access,
            headers={"Content-Type": "application/octet-stream"},
            body=content,
            deadline=deadline,
        )
        # The digest is right by construction: who denies that saw somebody else's bytes.
        if not _RACED.isdisjoint(done.error_codes()):
            return False
        if done.status != _CREATED:
            raise self.refusal(done, "an upload", writing=True)
        return True

    def put_manifest(
        self,
        repository: Repository,
        reference: str | Digest,
        content: bytes,
        media_type: str,
        *,
        deadline: float | None,
    ) -> Digest:
        """Write a manifest under a tag or its digest; return its digest.

        Raises:
            MissingContentError: the registry lacks a blob or manifest that this one lists.
            RegistryRefusedError, RegistryUnavailableError, RegistryDeniedError.
        """
        answer = self.session(repository).request(
            "PUT",
            manifest_path(repository, reference),
            Access.push(repository),
            headers={"Content-Type": media_type},
            body=content,
            deadline=deadline,
        )
        if not _LACKS_CONTENT.isdisjoint(answer.error_codes()):
            raise MissingContentError(f"{answer.host} lacks what the manifest lists")
        if answer.status != _CREATED:
            raise self.refusal(answer, "the write of a manifest", writing=True)
        digest = Digest.of(content)
        named = named_digest(answer)
        if named is not None and named != digest:
            raise RegistryUnavailableError(f"{answer.host} stored other content than was sent")
        return digest

    # --- the rest ---

    def ping(self, config: RegistryConfig) -> None:
        """Ask `GET /v2/` (end-1).

        Raises:
            RegistryUnavailableError, RegistryDeniedError.
        """
        answer = self._session_of(config).request("GET", "/v2/", Access.none())
        if answer.status != _OK:
            raise self.refusal(answer, "GET /v2/")
        if answer.media_type == "text/html":
            raise RegistryUnavailableError(f"{answer.host} answers a web page: no registry")

    def configured(self) -> tuple[RegistryConfig, ...]:
        return self._registries.all()

    def session(self, repository: Repository) -> RegistrySession:
        """Return the session for the repository's registry. Raises RegistryNotConfiguredError."""
        return self._session_of(self._registries.lookup(repository.host))

    def _session_of(self, config: RegistryConfig) -> RegistrySession:
        """Return the session for this entry; an entry that has changed gets a new one."""
        with self._lock:
            session = self._sessions.get(config.host)
            if session is None or session.config != config:
                # The old one is not closed: other threads may be using it. Its connections
                # end when the last of them lets go.
                session = self._sessions[config.host] = RegistrySession(config, self._clock)
            return session

    def _found(self, answer: Answer, doing: str) -> bool:
        if answer.status == _OK:
            return True
        if answer.status == _NOT_FOUND and answer.says_absent():
            return False
        raise self.refusal(answer, doing)

    def refusal(self, answer: Answer, doing: str, *, writing: bool = False) -> ServiceError:
        """Return the error for an answer that is not the one that was hoped for."""
        return answer.refusal(doing, now=self._clock.now(), writing=writing)


def manifest_path(repository: Repository, reference: str | Digest) -> str:
    return f"/v2/{repository.path}/manifests/{quote(str(reference), safe=':')}"


def _blob_path(repository: Repository, digest: Digest) -> str:
    return f"/v2/{repository.path}/blobs/{digest}"
