"""Every tag of a repository (OCI distribution 1.1, "Content Discovery")."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from service.domain.errors import RegistryUnavailableError
from service.domain.references import Repository
from service.formats import strictjson
from service.registry.client import OCIClient
from service.registry.session import Access

AT_ONCE: Final = 1000
MAX_PAGES: Final = 1000  # a million tags; more is a registry that goes round in circles


class TagListing:
    """service.ports.registry.TagReader."""

    def __init__(self, client: OCIClient) -> None:
        self._client = client

    def tags(self, repository: Repository) -> Iterator[str]:
        session = self._client.session(repository)
        last: str | None = None
        for _ in range(MAX_PAGES):
            after = "" if last is None else f"&last={quote(last, safe='')}"
            answer = session.request(
                "GET",
                f"/v2/{repository.path}/tags/list?n={AT_ONCE}{after}",
                Access.pull(repository),
                max_bytes=session.config.limits.max_manifest_bytes,
            )
            if answer.status == HTTPStatus.NOT_FOUND and answer.says_absent():
                return
            if answer.status != HTTPStatus.OK:
                raise self._client.refusal(answer, "a request for tags")
            listed = _listed(answer.content)
            yield from listed
            # Registries that do not page answer with everything at once.
            if len(listed) < AT_ONCE or listed[-1] == last:
                return
            last = listed[-1]


def _listed(content: bytes) -> list[str]:
    try:
        tags = strictjson.load(content).get("tags") or []
    except (strictjson.StrictJSONError, AttributeError) as error:
        raise RegistryUnavailableError("the registry's list of tags cannot be read") from error
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise RegistryUnavailableError("the registry's list of tags cannot be read")
    return tags
