"""Step 10: make a log grow by what is queued, and have the head of the grown tree signed.

(1) Hold the tree against the checkpoint that is kept outside the store.
(2) Integrate: one transaction appends what is queued, for everybody who waits.
(3) Sign the head of the committed tree, and check the signature.
(4) Keep the checkpoint outside. (5) Publish it: only now may anybody see it.

Who is not to sign, because somebody else is about to, waits for that checkpoint.
"""

from __future__ import annotations

from functools import partial
from threading import Event
from typing import Final

from service.domain.clock import Clock
from service.domain.errors import LogUnavailableError, ServiceError
from service.domain.ids import new_id
from service.domain.log import Integrated, LogName, Tree
from service.operations.log.heads import SignHeads
from service.operations.log.names import LogNames
from service.operations.log.rollback import RollbackGuard
from service.operations.log.rounds import SharedRounds
from service.ports.log import LogWriter

INTEGRATE_AT_ONCE: Final = 2048  # about 30 ms of the one writer that SQLite has
CLAIM_SECONDS: Final = 5.0  # longer than a head takes to sign, shorter than callers wait
FIRST_POLL_SECONDS: Final = 0.002  # another process signs its head in about so long
LAST_POLL_SECONDS: Final = 0.05


class ExtendLog:
    """One for each process. Its rounds are shared by the process's threads."""

    def __init__(
        self,
        *,
        names: LogNames,
        writer: LogWriter,
        sign: SignHeads,
        guard: RollbackGuard,
        clock: Clock,
    ) -> None:
        self._names: Final = names
        self._writer: Final = writer
        self._sign: Final = sign
        self._guard: Final = guard
        self._clock: Final = clock
        self._owner: Final = new_id("own")
        # Those that had an open tree when last seen; set operations are atomic.
        self._begun: Final[set[LogName]] = set()
        self._rounds: Final = {
            LogName.SIGNATURES: SharedRounds(partial(self._round, LogName.SIGNATURES), clock),
            LogName.AUDIT: SharedRounds(partial(self._round, LogName.AUDIT), clock),
        }

    def __call__(self, log: LogName, *, seconds: float) -> bool:
        """Return once a checkpoint covers everything that was on record before the call.

        Returns False where there is no log, because there never was a key for one.

        Raises:
            LogUnavailableError: it could not be done in `seconds`.
            LogRolledBackError: the store was put back to an older state.
            StoreUnavailableError
        """
        if log in self._begun:
            try:
                return self._join(log, seconds)
            except LogUnavailableError:
                if log in self._begun:
                    raise
        # It is new to us, or has been closed since.
        if self._writer.tree(log) is None:
            # Whoever lost the whole store must not begin again under the published name.
            for each in LogName:
                self._guard.check(each)
            if self._names.tree(log) is None:
                return False
        self._begun.add(log)
        return self._join(log, seconds)

    def _join(self, log: LogName, seconds: float) -> bool:
        self._rounds[log].join(self._clock.monotonic() + seconds)
        return True

    def has_failed(self, log: LogName) -> bool:
        """Whether this process failed when it last tried."""
        return self._rounds[log].has_failed

    def _round(self, log: LogName, deadline: float) -> None:
        self._guard.check(log)  # (1)
        done = self._integrate(log)
        goal = done.tree.size
        pause = FIRST_POLL_SECONDS
        waiting = Event()
        while True:
            if done.may_sign:
                self._publish(done.tree)
                return
            tree = self._writer.tree(log)
            if tree is None or tree.signed_size >= goal:
                return
            if not tree.is_claimed:
                done = self._integrate(log)
                continue
            if self._clock.monotonic() >= deadline:
                raise LogUnavailableError("the log was not extended in time")
            waiting.wait(pause)
            pause = min(pause * 2, LAST_POLL_SECONDS)

    def _integrate(self, log: LogName) -> Integrated:
        """(2) Take everything that is queued."""
        while True:
            done = self._writer.integrate(
                log, owner=self._owner, seconds=CLAIM_SECONDS, limit=INTEGRATE_AT_ONCE
            )
            if done is None:
                self._begun.discard(log)
                raise LogUnavailableError(f"the log {log} has been closed")
            if not done.is_more:
                return done

    def _publish(self, tree: Tree) -> None:
        try:
            head = self._sign(tree)  # (3)
            self._guard.keep(tree.log, head)  # (4)
        except ServiceError:
            self._writer.release(tree, owner=self._owner)
            raise
        self._writer.publish(head, owner=self._owner)  # (5)
