"""Examines the images of a key: what of them stands by other versions, and what is forged.

The record tells ours from forged: a signature at the registry that verifies under a version of
the key, and of which no record of ours holds exactly these bytes, was made past us. So it does
not matter here what has become of the version: also what a compromised one has signed is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from service.domain.clock import Clock
from service.domain.digests import Descriptor, Digest
from service.domain.errors import (
    MadeByAnotherToolError,
    RecordDamagedError,
    RegistryUnavailableError,
    ServiceError,
    by_code,
)
from service.domain.keys import KeyState, KeyVersion
from service.domain.public_keys import SignatureInvalidError
from service.domain.purposes import ImageVersion
from service.domain.references import NO_REPOSITORY, Repository
from service.domain.reissues import ForgedSignature
from service.domain.signing import Signature, Statement
from service.domain.verdicts import ReasonCode
from service.operations.finders import COULD_NOT_ASK, Finder
from service.operations.log import SignatureLog
from service.operations.units import Prepared, Unit
from service.ports.formats import SignatureFormat
from service.ports.registry import RegistryReader, TagReader
from service.ports.store import SignedImage, SignedImages, SigningJournal
from service.verification.others import Trusted

MOST_TAGS: Final = 10_000  # of one repository: each costs a request
_ABOUT_A_DIGEST: Final = re.compile(r"sha256-([0-9a-f]{64})(?:\.sig)?")
_COULD_NOT_ASK: Final = frozenset({kind.code for kind in COULD_NOT_ASK})


@dataclass(frozen=True, slots=True)
class Examined:
    """One image: what is to be signed of it, or why not; `None` where its registry has it not."""

    reference: str
    prepared: Prepared | None
    forgeries: tuple[ForgedSignature, ...] = ()


@dataclass(frozen=True, slots=True)
class ExamineImages:
    """`finders` must take time from nothing but our own record (`RecordedProofs`)."""

    images: SignedImages
    journal: SigningJournal
    registry: RegistryReader
    tags: TagReader
    finders: Sequence[Finder]
    formats: Mapping[str, SignatureFormat]
    log: SignatureLog
    clock: Clock

    def __call__(
        self,
        image: SignedImage,
        index: int,
        target: ImageVersion,
        others: Mapping[int, KeyVersion],
    ) -> Examined:
        shown = f"{image.repository}@{image.digest}"
        if image.repository == NO_REPOSITORY:
            nameless = MadeByAnotherToolError("nobody has told which repository the image is in")
            about = str(image.digest)
            return Examined(about, Prepared(index, about, None, image.digest, error=nameless))
        item = Prepared(index, shown, None, image.digest)
        forgeries: tuple[ForgedSignature, ...] = ()
        try:
            described = self.registry.resolve(image.repository, image.digest)
            if described is None:
                return Examined(shown, None)
            forgeries = self.forgeries(image, tuple(others.values()))
            units = self._units(image, index, target, others, described)
        except ServiceError as error:
            return Examined(shown, replace(item, error=error), forgeries)
        return Examined(shown, replace(item, descriptor=described, units=units), forgeries)

    def unknown(self, repository: Repository, key: str, *, but: int) -> Sequence[SignedImage]:
        """Return what the registry has in a repository, and the record has not by this key.

        That are the images of its tags, and those for which a tag of signatures or of referrers
        exists: what a thief of the key signs is an image of the thief's own.

        Raises:
            RegistryUnavailableError, RegistryDeniedError, RegistryNotConfiguredError.
        """
        digests: dict[Digest, None] = {}
        for tag in islice(self.tags.tags(repository), MOST_TAGS):
            about = _ABOUT_A_DIGEST.fullmatch(tag)
            if about is not None:
                digests[Digest(about[1])] = None
            elif (found := self.registry.resolve(repository, tag)) is not None:
                digests[found.digest] = None
        return [
            SignedImage(0, repository, digest)
            for digest in digests
            if not self.images.standing(key, repository, digest, but=but)
        ]

    def forgeries(
        self, image: SignedImage, versions: Sequence[KeyVersion]
    ) -> tuple[ForgedSignature, ...]:
        """Return what lies at the registry by these versions without being on record."""
        now = self.clock.now()
        keys = [_as_if_compromised(version, now) for version in versions]
        numbers = {version.version for version in versions}
        key = versions[0].key if versions else ""
        places = [finder(image.repository, image.digest, Trusted(keys)) for finder in self.finders]
        for reason in (reason for place in places for reason in place.unanswered):
            if reason.code in _COULD_NOT_ASK:
                kind = by_code(reason.code) or RegistryUnavailableError
                raise kind(reason.text, retry_after=reason.retry_after)
        found = [one for place in places for one in place.signatures]
        return tuple(
            ForgedSignature(
                f"{image.repository}@{image.digest}", one.format, one.version or 0, one.identity
            )
            for one in found
            if one.key == key
            and one.version in numbers
            and one.reason.code is ReasonCode.KEY_COMPROMISED
        )

    def _units(
        self,
        image: SignedImage,
        index: int,
        target: ImageVersion,
        others: Mapping[int, KeyVersion],
        described: Descriptor,
    ) -> tuple[Unit, ...]:
        """Return what is to be signed: each standing statement once, under the target."""
        standing = self.images.standing(
            target.key, image.repository, image.digest, but=target.version
        )
        ours = [one for one in standing if one.statement.format in self.formats]
        if standing and not ours:
            raise MadeByAnotherToolError("it has been signed through plug-ins alone")
        units: dict[str, Unit] = {}
        for made in self.log.proven(ours, are_new=False):
            if isinstance(made, ServiceError):
                raise made  # it is not in the log
            form = self.formats[made.statement.format]
            old = replace(made.statement, descriptor=described if form.signs_descriptor else None)
            _check(made, old, form, others[old.version])
            statement = replace(old, version=target.version)
            units[statement.hash()] = Unit(
                index,
                statement,
                statement.hash(),
                target,
                form.scheme(target),
                form.payload(statement, version=target, at=self.clock.now()),
                described,
            )
        stand = self.journal.standing(list(units))
        return tuple(unit for hashed, unit in units.items() if hashed not in stand)


def _check(made: Signature, statement: Statement, form: SignatureFormat, by: KeyVersion) -> None:
    """Raises RecordDamagedError: what is on record does not verify."""
    try:
        form.check(statement, made.payload, made.signature, version=by, scheme=made.scheme)
    except SignatureInvalidError as error:
        raise RecordDamagedError(f"the signature {made.id} does not verify") from error


def _as_if_compromised(version: KeyVersion, now: datetime) -> KeyVersion:
    """Return the version as one whose signatures count only if they are on record by now."""
    return replace(
        version,
        state=KeyState.COMPROMISED,
        ever_compromised=True,
        compromised_since=now + timedelta(days=1),
    )
