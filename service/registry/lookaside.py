"""The place beside the registry that is ours: what is on record there is already served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from service.domain.digests import Digest
from service.domain.references import Repository
from service.domain.signing import Attachable
from service.formats.artifacts import LOOKASIDE_MEDIA_TYPE
from service.ports.registry import Attached

_SEEN: Final = "lookaside"


class LookasideAttacher:
    """service.ports.registry.Attacher for what the service itself serves: nothing to write."""

    def attach(
        self,
        repository: Repository,
        subject: Digest,
        contents: Sequence[Attachable],
        *,
        seconds: float,
    ) -> Attached:
        digests = tuple(content.digest for content in contents)
        return Attached(digests, LOOKASIDE_MEDIA_TYPE, _SEEN, added=False, watched=False)
