"""Collects witnesses' cosignatures on the newest checkpoints; the worker does, and nobody waits.

A witness cosigns only what has grown from the last that it cosigned. So one that has seen more
than the store holds, or another tree of the same size, tells of a store that was put back or of a
fork: a critical finding. Whatever else it answers is logged, and it is asked again later.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from service.domain.clock import Clock
from service.domain.findings import LOG_NOT_AS_WITNESSED, NewFinding, Severity
from service.domain.log import LogName, SignedHead
from service.domain.public_keys import SignatureInvalidError
from service.operations.fanout import Fanout
from service.operations.log.proofs import nodes_of
from service.ports.log import LogReader
from service.ports.store import Findings
from service.ports.witnesses import Cosignatures, WitnessAnswer, WitnessCalls, WitnessSilentError
from service.translog.checkpoints import with_signatures
from service.translog.cosignatures import Witness, check_cosignatures, parse_cosignatures
from service.translog.errors import MalformedError
from service.translog.notes import Note
from service.translog.proofs import consistency_proof
from service.translog.witness import parse_size, request_body

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 5.0  # after a failure; it doubles with each
LAST_PAUSE_SECONDS: Final = 300.0
SIZE_MEDIA_TYPE: Final = "text/x.tlog.size"


class _RefusedError(Exception):
    """The witness answered, and not with a cosignature; the text says what."""


class CollectCosignatures:
    """One for each process. Of the pauses each is used by one call for its witness at a time."""

    def __init__(
        self,
        witnesses: Sequence[WitnessCalls],
        reader: LogReader,
        kept: Cosignatures,
        *,
        findings: Findings,
        fanout: Fanout,
        clock: Clock,
    ) -> None:
        self._witnesses: Final = witnesses
        self._reader: Final = reader
        self._kept: Final = kept
        self._findings: Final = findings
        self._fanout: Final = fanout
        self._clock: Final = clock
        self._pauses: Final[dict[str, tuple[float, float]]] = {}

    def __call__(self) -> None:
        """Ask every witness that is due for what it has not cosigned. Raises StoreUnavailableError."""
        now = self._clock.monotonic()
        due = [w for w in self._witnesses if self._pauses.get(w.key, (0, 0))[0] <= now]
        self._fanout.map(self._ask, due)

    def _ask(self, calls: WitnessCalls) -> None:
        name = calls.key
        try:
            for which in calls.logs:
                self._ask_about(calls, which)
        except (_RefusedError, WitnessSilentError, MalformedError, SignatureInvalidError) as error:
            pause = min(
                max(2 * self._pauses.get(name, (0, 0))[1], FIRST_PAUSE_SECONDS), LAST_PAUSE_SECONDS
            )
            self._pauses[name] = (self._clock.monotonic() + pause, pause)
            log.warning("no cosignature", extra={"witness": name, "reason": str(error)})
        else:
            self._pauses.pop(name, None)

    def _ask_about(self, calls: WitnessCalls, which: LogName) -> None:
        head = self._reader.newest(which)
        if head is None:
            return
        old = self._kept.last_size(head.tree_id, calls.key)
        if old == head.size:
            return
        answer = calls.add_checkpoint(self._body(head, old))
        if answer.status == HTTPStatus.CONFLICT:
            # It remembers another size than we do: it says which, and is asked from there.
            old = self._remembered(calls, which, head, answer)
            answer = calls.add_checkpoint(self._body(head, old))
        if answer.status == HTTPStatus.CONFLICT and old == head.size:
            self._accuse(calls, which, head, f"another tree of the size {head.size}")
        if answer.status != HTTPStatus.OK:
            raise _RefusedError(f"status {answer.status}")
        self._keep(calls, head, answer)

    def _body(self, head: SignedHead, old: int) -> bytes:
        nodes = nodes_of(self._reader, head.tree_id, head.size)
        proof = consistency_proof(old, head.size, nodes) if 0 < old < head.size else ()
        return request_body(old, proof, head.note)

    def _remembered(
        self, calls: WitnessCalls, which: LogName, head: SignedHead, answer: WitnessAnswer
    ) -> int:
        if answer.media_type != SIZE_MEDIA_TYPE:
            raise _RefusedError("a conflict without a size")
        size = parse_size(answer.content)
        if size <= head.size:
            return size
        newest = self._reader.newest(which)
        if newest is None or (newest.tree_id == head.tree_id and newest.size < size):
            self._accuse(calls, which, head, f"a tree of {size}, and the store one of {head.size}")
        raise _RefusedError(f"it has cosigned a tree of {size} already")

    def _accuse(self, calls: WitnessCalls, which: LogName, head: SignedHead, seen: str) -> None:
        evidence = {"log": which.value, "shown": head.note, "witness": calls.key}
        name = Witness.parse(calls.key).name
        self._findings.open(
            NewFinding(
                LOG_NOT_AS_WITNESSED,
                Severity.CRITICAL,
                f"{which} {name}",
                {**evidence, "seen": f"the witness has cosigned {seen}"},
            )
        )

    def _keep(self, calls: WitnessCalls, head: SignedHead, answer: WitnessAnswer) -> None:
        try:
            lines = parse_cosignatures(answer.content.decode())
        except UnicodeDecodeError as error:
            raise MalformedError("the answer is no text") from error
        note = Note.parse(with_signatures(head.note, lines))
        checked = check_cosignatures(note, [Witness.parse(calls.key)])
        if not checked:
            raise SignatureInvalidError("the answer holds no cosignature by its key")
        self._kept.keep(head, {calls.key: checked[0].line.line()})
