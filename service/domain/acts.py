"""Acts of custody: what one custodian asks for and, where a quorum rule says so, others approve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ActKind(StrEnum):
    """What quorum rules are written for. Stopping a key is none of them: one is enough for that."""

    GENERATE = "generate"
    ACTIVATE = "activate"
    RETIRE = "retire"
    UNSUSPEND = "unsuspend"
    DESTROY = "destroy"
    ADOPT = "adopt"
    CERTIFICATE_IMPORT = "certificate-import"
    CREDENTIAL = "credential"
    QUORUM = "quorum"


@dataclass(frozen=True, slots=True)
class Act:
    """One act, wholly described by JSON values, so that it can be approved as it was asked for.

    `subject` names what it happens to (`release`, `release/3`); `arguments` hold the rest.
    """

    kind: ActKind
    subject: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Performed:
    """What an act has led to: the thing itself, and the facts of it for the record."""

    value: object
    summary: Mapping[str, object] = field(default_factory=dict)
