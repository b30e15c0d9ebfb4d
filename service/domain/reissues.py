"""Reissue: what stands by other versions of a key, signed again under one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

MOST_LISTED: Final = 1000  # of each kind in one report; the counts say how many there are


@dataclass(frozen=True, slots=True)
class Reissue:
    """What is asked for: every image of the key, under this version. `dry_run` signs nothing."""

    key: str
    version: int
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ForgedSignature:
    """At the registry, by one of our versions, and in no record of ours."""

    reference: str
    format: str
    version: int
    identity: str | None


@dataclass(frozen=True, slots=True)
class NotReissued:
    """An image that could not be signed again, and why."""

    reference: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReissueReport:
    """What has come of the images so far; each is counted once, forged signatures each.

    `reissued`: signed by this job (with `dry_run`: would be). `already`: signed under the version
    before. `gone`: its registry has it not any more. `failed`: see `failures`. `unseen`:
    repositories in which nobody could look for forged signatures, see there too.
    """

    reissued: int = 0
    already: int = 0
    gone: int = 0
    failed: int = 0
    forged: int = 0
    unseen: int = 0
    forgeries: tuple[ForgedSignature, ...] = field(default=())
    failures: tuple[NotReissued, ...] = field(default=())

    @property
    def images(self) -> int:
        return self.reissued + self.already + self.gone + self.failed

    def plus(self, other: ReissueReport) -> ReissueReport:
        return replace(
            self,
            reissued=self.reissued + other.reissued,
            already=self.already + other.already,
            gone=self.gone + other.gone,
            failed=self.failed + other.failed,
            forged=self.forged + other.forged,
            unseen=self.unseen + other.unseen,
            forgeries=(*self.forgeries, *other.forgeries)[:MOST_LISTED],
            failures=(*self.failures, *other.failures)[:MOST_LISTED],
        )
