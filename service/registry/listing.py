"""Lists of referrers: the API (OCI distribution 1.1, "Listing Referrers"), and the fallback tag.

Only a 200 with an index is an answer of the API, only a client error says that there is none: the
`OCI-Subject` header tells nothing, and half of the registries that have the API do not send it.
What the list says of a manifest is what its pusher wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from service.domain.digests import Descriptor, Digest
from service.domain.errors import RegistryUnavailableError
from service.domain.limits import MAX_REFERRER_PAGES, MAX_REFERRERS
from service.domain.media_types import OCI_INDEX
from service.domain.references import Repository
from service.formats import strictjson
from service.formats.referrerlist import fallback_tag
from service.ports.registry import ListedReferrer, Referrers
from service.registry.answers import Answer
from service.registry.client import OCIClient, manifest_path
from service.registry.manifests import ACCEPT, head_says_absent
from service.registry.session import Access, RegistrySession

# What registries without the API answer, and at what go-containerregistry turns to the tag.
_NO_API: Final = frozenset(
    {
        HTTPStatus.NOT_FOUND,
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_ACCEPTABLE,
    }
)
_NEXT: Final = re.compile(r'<([^<>]+)>\s*;(?:[^,]*;)?\s*rel="?next"?', re.IGNORECASE)  # RFC 8288


class ReferrerListing:
    """service.ports.registry.ReferrerReader; keeps nothing, so each call asks anew."""

    def __init__(self, client: OCIClient) -> None:
        self._client = client

    def referrers(self, repository: Repository, subject: Digest) -> Referrers:
        access = Access.pull(repository)
        listed = by_api(self._client, repository, subject, access, deadline=None)
        return listed if listed is not None else by_tag(self._client, repository, subject)


def by_api(
    client: OCIClient,
    repository: Repository,
    subject: Digest,
    access: Access,
    *,
    deadline: float | None,
) -> Referrers | None:
    """Return what the API lists, or None if the registry has no such API.

    Raises:
        RegistryUnavailableError, RegistryDeniedError, RegistryNotConfiguredError.
    """
    session = client.session(repository)
    path = f"/v2/{repository.path}/referrers/{subject}"
    found: list[ListedReferrer] = []
    for number in range(MAX_REFERRER_PAGES):
        answer = session.request(
            "GET",
            path,
            access,
            headers={"Accept": OCI_INDEX},
            max_bytes=session.config.limits.max_manifest_bytes,
            deadline=deadline,
        )
        if number == 0 and answer.status in _NO_API:
            return None
        if answer.status != HTTPStatus.OK:
            raise client.refusal(answer, "a request for referrers")
        if answer.media_type != OCI_INDEX:
            raise RegistryUnavailableError(
                f"{answer.host} answered a request for referrers with something else than an "
                f"OCI index: {answer.media_type[:100]!r}"
            )
        found += _entries(_document(answer))
        following = _next(session, path, answer)
        if following is None:
            return Referrers(tuple(found[:MAX_REFERRERS]), complete=len(found) <= MAX_REFERRERS)
        if len(found) > MAX_REFERRERS:
            break
        path = following
    return Referrers(tuple(found[:MAX_REFERRERS]), complete=False)


def by_tag(client: OCIClient, repository: Repository, subject: Digest) -> Referrers:
    """Return what the index under the fallback tag lists; no tag means nothing."""
    found = client.manifest(repository, fallback_tag(subject))
    if found is None:
        return Referrers(by_tag=True)
    if found.descriptor.media_type != OCI_INDEX:
        # A tag like any other, for all that clients know: they find no referrers there.
        return Referrers(by_tag=True, fault="what lies under the tag is no OCI index")
    try:
        entries = _entries(strictjson.load(found.content))
    except (strictjson.StrictJSONError, ValueError) as error:
        return Referrers(by_tag=True, fault=str(error))
    return Referrers(
        tuple(entries[:MAX_REFERRERS]), by_tag=True, complete=len(entries) <= MAX_REFERRERS
    )


def has_manifest(
    client: OCIClient, repository: Repository, listed: Descriptor, *, deadline: float | None
) -> bool:
    """Return whether the registry holds a manifest, whatever its type.

    Raises:
        RegistryUnavailableError, RegistryDeniedError: nobody knows.
    """
    session = client.session(repository)
    path, access = manifest_path(repository, listed.digest), Access.push(repository)
    headers = {"Accept": f"{listed.media_type}, {ACCEPT}" if listed.media_type else ACCEPT}
    answer = session.request("HEAD", path, access, headers=headers, deadline=deadline)
    if answer.status == HTTPStatus.NOT_FOUND and not head_says_absent(answer):
        # A 404 without a body may be anybody's.
        answer = session.request(
            "GET",
            path,
            access,
            headers=headers,
            max_bytes=session.config.limits.max_manifest_bytes,
            deadline=deadline,
        )
        if answer.status == HTTPStatus.NOT_FOUND and answer.says_absent():
            return False
    elif answer.status == HTTPStatus.NOT_FOUND:
        return False
    if answer.status != HTTPStatus.OK:
        raise client.refusal(answer, "a question for a manifest")
    return True


def _document(answer: Answer) -> Any:
    try:
        return strictjson.load(answer.content)
    except strictjson.StrictJSONError as error:
        raise RegistryUnavailableError(f"{answer.host} lists referrers in no JSON") from error


def _entries(index: Any) -> list[ListedReferrer]:
    """Return the entries that can be followed; the others, nobody can.

    Raises:
        ValueError: it is no index.
    """
    manifests = index.get("manifests") if isinstance(index, dict) else None
    if isinstance(index, dict) and manifests is None:
        return []  # ocimem's empty list
    if not isinstance(manifests, list):
        raise ValueError("it lists no manifests")  # noqa: TRY004 -- it is what was sent
    return [entry for entry in map(_entry, manifests) if entry is not None]


def _entry(listed: object) -> ListedReferrer | None:
    if not isinstance(listed, Mapping):
        return None
    media_type, size = listed.get("mediaType"), listed.get("size")
    kind, annotations = listed.get("artifactType"), listed.get("annotations")
    try:
        digest = Digest.parse(str(listed.get("digest")))
    except ValueError:
        return None
    if not isinstance(media_type, str) or not isinstance(size, int) or isinstance(size, bool):
        return None
    texts = annotations if isinstance(annotations, dict) else {}
    return ListedReferrer(
        Descriptor(media_type, digest, size),
        kind if isinstance(kind, str) else None,
        {name: value for name, value in texts.items() if isinstance(value, str)},
    )


def _next(session: RegistrySession, path: str, answer: Answer) -> str | None:
    """Return the path of the following page, None after the last.

    Raises:
        RegistryUnavailableError: it leads to another host.
    """
    match = _NEXT.search(answer.headers.get("link", ""))
    if match is None:
        return None
    target = session.own_path(path, match[1])
    if target is None:
        raise RegistryUnavailableError(f"{answer.host} continues its list at another host")
    return target
