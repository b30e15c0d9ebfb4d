"""Obligations of the registry client.

Reads tell three things apart: a value (the registry answered and has it), None (it answered,
well-formed, that it has not), and RegistryUnavailableError, RegistryDeniedError or
RegistryNotConfiguredError (nobody knows). A digest that was asked for is checked against
the bytes received. Redirects leave for configured hosts only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from service.domain.digests import Descriptor, Digest
from service.domain.references import Repository
from service.domain.signing import Attachable


@dataclass(frozen=True, slots=True)
class Manifest:
    descriptor: Descriptor
    content: bytes


@dataclass(frozen=True, slots=True)
class ListedReferrer:
    """What a list of referrers says of one: nobody has looked at the manifest yet."""

    descriptor: Descriptor
    unverified_artifact_type: str | None = None
    unverified_annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Referrers:
    """The manifests that refer to an image, in the order in which clients go through them.

    `by_tag`: from the index under the fallback tag, as the registry has no referrers API.
    `complete`: False where there are more than we read. `fault` says what is wrong with a
    fallback index that cannot be read as one.
    """

    entries: tuple[ListedReferrer, ...] = ()
    by_tag: bool = False
    complete: bool = True
    fault: str | None = None


class RegistryReader(Protocol):
    def public_repository(self, repository: Repository) -> Repository:
        """Return the repository under the registry's public name.

        Raises:
            RegistryNotConfiguredError: the host is none of ours, under either name.
        """
        ...

    def resolve(self, repository: Repository, reference: str | Digest) -> Descriptor | None:
        """HEAD (or GET where HEAD does not tell enough) a tag or digest."""
        ...

    def manifest(self, repository: Repository, reference: str | Digest) -> Manifest | None: ...

    def blob(self, repository: Repository, digest: Digest) -> bytes | None: ...


class RegistryNames(Protocol):
    def public_names(self) -> Sequence[str]:
        """Return the public name of each configured registry."""
        ...


class TagReader(Protocol):
    def tags(self, repository: Repository) -> Iterator[str]:
        """Yield every tag of a repository."""
        ...


class ReferrerReader(Protocol):
    def referrers(self, repository: Repository, subject: Digest) -> Referrers:
        """List what refers to `subject` where clients look: the referrers API, else the tag."""
        ...


@dataclass(frozen=True, slots=True)
class Attached:
    """Where the contents lie now: for each, in order, the manifest that holds it.

    `seen` stands for the list as it was left: another text means that somebody has changed
    it. `added` says whether this call had to write.
    """

    manifests: tuple[Digest, ...]
    media_type: str
    seen: str
    added: bool
    watched: bool = True


class Attacher(Protocol):
    """Writes one kind of list (`service.domain.outbox.OrderKind`)."""

    def attach(
        self,
        repository: Repository,
        subject: Digest,
        contents: Sequence[Attachable],
        *,
        seconds: float,
    ) -> Attached:
        """Make sure that the list of `subject` holds these contents, others' kept.

        The caller holds the lease of (repository, subject, kind); foreign writers may still
        interfere, so the list is read back and the write repeated, bounded and jittered,
        until `seconds` are over. Nothing is written after that. All contents are of the
        kind of the list.

        Raises:
            AttachConflictError: others kept overwriting; RegistryUnavailableError,
            RegistryDeniedError, RegistryRefusedError, RegistryNotConfiguredError.
        """
        ...


class RegistryHealth(Protocol):
    def check(self) -> Sequence[tuple[str, str | None]]:
        """Return each configured host with None, or what is wrong with it."""
        ...
