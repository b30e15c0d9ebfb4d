"""`sealwright sign --push-from-here`: attach the answer's artifacts with the job's own login.

What the service answers is not believed: an artifact is pushed only to the repository that was named
here, and only if it is for the image that was asked about.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from service.bootstrap.push import OwnRegistries, own_registries
from service.cli.exits import Exit, exit_for
from service.cli.settings import registries_file, registry_logins
from service.client import SealwrightClient, UnexpectedAnswerError
from service.domain.digests import Descriptor, Digest
from service.domain.errors import (
    ImageNotFoundError,
    InvalidReferenceError,
    RegistryDeniedError,
    ServiceError,
)
from service.domain.outbox import OrderKind
from service.domain.references import Reference, Repository
from service.domain.signing import Artifact, Attachable
from service.formats.artifacts import ArtifactMalformedError, attachable_of
from service.operations.push_artifacts import Push, PushArtifacts, kind_of
from service.ports.registry import Attached, RegistryReader

JSONObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OwnLogin:
    """The registries of one command, reached as the job itself reaches them."""

    registry: RegistryReader
    push: PushArtifacts

    @classmethod
    def reaching(cls, registries: OwnRegistries, images: Sequence[str]) -> OwnLogin:
        """Raises ConfigurationError."""
        hosts: dict[str, None] = {}
        for image in images:
            with suppress(InvalidReferenceError):  # told with the image
                hosts[Reference.parse(image).repository.host] = None
        return cls(*own_registries(registries, hosts))

    def described(self, images: Sequence[str]) -> Sequence[JSONObject | ServiceError | None]:
        """Return the descriptor of each image, or why it cannot be signed from here.

        Only of a reference that is pinned and has no tag, with which the service needs to ask no
        registry at all; None of the others, which it resolves.
        """
        return self.push.fanout.map(self._described, images)

    def _described(self, image: str) -> JSONObject | ServiceError | None:
        try:
            reference = Reference.parse(image)
            if reference.digest is None or reference.tag is not None:
                return None
            found = self.registry.resolve(reference.repository, reference.digest)
        except ServiceError as error:
            return error
        if found is None:
            return ImageNotFoundError(f"the registry has no {reference}")
        return {"media_type": found.media_type, "size": found.size}

    def attach(self, images: Sequence[str], results: Sequence[JSONObject]) -> list[ServiceError]:
        """Push every artifact, write into the results what came of it, and return the failures.

        Raises:
            UnexpectedAnswerError: the answer holds what was not asked for.
        """
        if len(images) != len(results):
            raise UnexpectedAnswerError("an answer about other images")
        lists: dict[tuple[OrderKind, Repository, Digest], list[tuple[JSONObject, Attachable]]] = {}
        for image, item in zip(images, results, strict=True):
            reference = Reference.parse(image)
            if reference.digest is not None and item["digest"] not in (
                None,
                str(reference.digest),
            ):
                raise UnexpectedAnswerError("an answer about another digest")
            for one, made in _signatures(item):
                subject = _digest(one["digest"])
                for content in _contents(made, subject):
                    kind = kind_of(content)
                    if kind is None:
                        raise UnexpectedAnswerError(f"no registry takes {made['format']}")
                    place = (kind, reference.repository, subject)
                    lists.setdefault(place, []).append((made, content))
        pushes = [
            Push(*place, tuple(content for _, content in contents))
            for place, contents in lists.items()
        ]
        failures = []
        for contents, result in zip(lists.values(), self.push(pushes), strict=True):
            if isinstance(result, ServiceError):
                failures.append(result)
            _tell([made for made, _ in contents], result)
        return failures


How = tuple[Path | None, Path | None, bool]
"""What was asked about registries: the file, the CA, and whether without TLS."""


def sign_and_push(
    service: SealwrightClient,
    request: JSONObject,
    how: How,
    *,
    idempotency_key: str | None,
) -> tuple[JSONObject, frozenset[Exit]]:
    """Sign as the request says, attach here, and return the answer with what came of it.

    The exits are those of what failed at a registry: an own login that does not reach is another
    matter than a registry that is away.

    Raises:
        ClientError, ConfigurationError: nothing was signed, or nothing of it is attached.
    """
    if "openpgp" in request.get("formats", ()):
        raise click.UsageError(
            "openpgp signatures lie in the service's lookaside, and at no registry: sign them "
            "without --push-from-here"
        )
    file, ca_file, plain_http = how
    wanted = OwnRegistries(file or registries_file(), registry_logins(), ca_file, plain_http)
    images = [image["reference"] for image in request["images"]]
    own = OwnLogin.reaching(wanted, images)
    told = own.described(images)
    there = [n for n, found in enumerate(told) if not isinstance(found, ServiceError)]
    asked = [
        image if found is None else {**image, "descriptor": found}
        for image, found in zip(request["images"], told, strict=True)
        if not isinstance(found, ServiceError)
    ]
    answer: JSONObject = {"results": [], "succeeded": 0, "failed": 0}
    failures = [found for found in told if isinstance(found, ServiceError)]
    if asked:
        body = {**request, "images": asked, "attach": False, "promises": True}
        answer = service.sign(body, idempotency_key=idempotency_key)
        failures += own.attach([images[n] for n in there], answer["results"])
    answered = iter(answer["results"])
    answer["results"] = [
        _failed(image, found) if isinstance(found, ServiceError) else next(answered)
        for image, found in zip(request["images"], told, strict=True)
    ]
    answer["failed"] += len(images) - len(there)
    return answer, frozenset(map(_exit, failures))


def _failed(image: JSONObject, error: ServiceError) -> JSONObject:
    return {
        "id": image.get("id"),
        "reference": image["reference"],
        "digest": None,
        "signatures": [],
        "children": [],
        "error": {
            "code": error.code,
            "detail": str(error),
            "status": None,
            "retryable": error.retryable,
        },
    }


def _exit(error: ServiceError) -> Exit:
    # It is the job's own login, and not the service's, that does not reach.
    if isinstance(error, RegistryDeniedError):
        return Exit.NOT_AUTHORISED
    return exit_for(error.code, retryable=error.retryable)


def _signatures(item: JSONObject) -> Iterator[tuple[JSONObject, JSONObject]]:
    """Yield each signature of an item and of everything in it, with the item that it is of."""
    for made in item["signatures"]:
        yield item, made
    for child in item["children"]:
        yield from _signatures(child)


def _contents(made: Mapping[str, Any], subject: Digest) -> tuple[Attachable, ...]:
    try:
        return attachable_of(_artifact(made["artifact"]), subject)
    except (ArtifactMalformedError, KeyError, TypeError, ValueError) as error:
        raise UnexpectedAnswerError(f"the artifact of {made.get('id')}: {error}") from error


def _artifact(told: Mapping[str, Any]) -> Artifact:
    manifest, subject = told["manifest"], told["subject"]
    content = None if manifest is None else base64.b64decode(manifest["content"], validate=True)
    return Artifact(
        tag=told["tag"],
        subject=None
        if subject is None
        else Descriptor(subject["media_type"], Digest.parse(subject["digest"]), subject["size"]),
        media_type="" if manifest is None else manifest["media_type"],
        manifest=content,
        blobs=tuple(base64.b64decode(blob["content"], validate=True) for blob in told["blobs"]),
    )


def _digest(text: object) -> Digest:
    try:
        return Digest.parse(str(text))
    except ValueError as error:
        raise UnexpectedAnswerError("an answer without a digest") from error


def _tell(signatures: Sequence[JSONObject], result: Attached | ServiceError) -> None:
    """Write into each signature where it lies. Of one with two layers both lie in one manifest."""
    for number, made in enumerate(signatures):
        if isinstance(result, ServiceError):
            made["attachment"] = {
                "state": "failed",
                "digest": None,
                "media_type": None,
                "error": {"code": result.code, "detail": str(result)},
            }
        else:
            made["attachment"] = {
                "state": "attached",
                "digest": str(result.manifests[number]),
                "media_type": result.media_type,
            }
