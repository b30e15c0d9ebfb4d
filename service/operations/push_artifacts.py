"""Attaches what a service without push rights has made, with the registry login of whoever runs it.

The same lists are written in the same way as by the service (`operations/deliver`): read, merged,
written, read back. There is no worker here that looks again later, so that is done before this
returns: a foreign writer that held the old list takes about a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from service.domain.clock import Clock
from service.domain.digests import Digest
from service.domain.errors import AttachConflictError, ServiceError
from service.domain.limits import ATTACH_SECONDS
from service.domain.outbox import OrderKind
from service.domain.references import Repository
from service.domain.signing import Attachable, Referrer, SignatureLayer
from service.operations.deliver import FIRST_LOOK_SECONDS, retry_delay
from service.operations.fanout import Fanout
from service.ports.registry import Attached, Attacher

PUSH_SECONDS: Final = 60.0  # all attempts at one list, and all looks at it: a job waits for it
ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Push:
    """What is to be in one list of one image."""

    kind: OrderKind
    repository: Repository
    subject: Digest
    contents: tuple[Attachable, ...]


@dataclass(slots=True)
class _State:
    push: Push
    deadline: float
    result: Attached | ServiceError = field(default_factory=AttachConflictError)
    is_quiet: bool = False
    """Whether the last look found everything as it had been left."""


@dataclass(frozen=True, slots=True)
class PushArtifacts:
    attachers: Mapping[OrderKind, Attacher]
    fanout: Fanout
    clock: Clock
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, pushes: Sequence[Push]) -> Sequence[Attached | ServiceError]:
        """Return where each lies, in order, or what kept it from being attached.

        What has lasted until a second look is attached. Each fails alone.
        """
        deadline = self.clock.monotonic() + PUSH_SECONDS
        states = [_State(push, deadline) for push in pushes]
        restless = states
        while restless:
            self.fanout.map(self._once, restless)
            restless = [
                state
                for state in states
                if isinstance(state.result, Attached) and not state.is_quiet
            ]
            if restless:
                if self.clock.monotonic() + FIRST_LOOK_SECONDS >= deadline:
                    for state in restless:
                        text = f"the signatures of {state.push.subject} keep being overwritten"
                        state.result = AttachConflictError(text)
                    break
                self.sleep(FIRST_LOOK_SECONDS)
        return [state.result for state in states]

    def _once(self, state: _State) -> None:
        """Attach, or look whether all is still attached and put back what is not."""
        before = state.result
        state.result = found = self._attached(state)
        # The first time everything is new; a list that was in order already is quiet at once.
        state.is_quiet = (
            isinstance(found, Attached)
            and not found.added
            and (not isinstance(before, Attached) or found.seen == before.seen)
        )

    def _attached(self, state: _State) -> Attached | ServiceError:
        push, attempt = state.push, 0
        while True:
            left = state.deadline - self.clock.monotonic()
            try:
                return self.attachers[push.kind].attach(
                    push.repository,
                    push.subject,
                    push.contents,
                    seconds=max(0.0, min(left, ATTACH_SECONDS)),
                )
            except ServiceError as error:
                attempt += 1
                pause = retry_delay(attempt, error)
                if pause is None or not error.retryable or attempt == ATTEMPTS:
                    return error
                if self.clock.monotonic() + pause >= state.deadline:
                    return error
            self.sleep(pause)


def kind_of(content: Attachable) -> OrderKind | None:
    """Return which list of a registry the content belongs in; None: no registry takes it."""
    match content:
        case SignatureLayer():
            return OrderKind.ATTACH
        case Referrer():
            return OrderKind.REFER
        case _:
            return None
