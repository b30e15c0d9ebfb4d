"""One run for many callers: whoever comes while one is under way is served by the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from threading import Condition, Lock
from typing import Final, Generic, TypeVar

from service.domain.clock import Clock
from service.domain.errors import ServiceError, StoreUnavailableError

GATHER_SECONDS: Final = 0.02  # callers come again within it, or only after a while

S = TypeVar("S")
R = TypeVar("R")


class _Caller(Generic[S, R]):
    """One caller's share. `result` or `error` is set before `woken` is released, unless it leads."""

    __slots__ = ("error", "is_done", "result", "share", "woken")

    def __init__(self, share: S) -> None:
        self.share = share
        self.is_done = False
        self.result: R | None = None
        self.error: BaseException | None = None
        self.woken = Lock()
        self.woken.acquire()


class Joint(Generic[S, R]):
    """Answers each caller by a run that began after its call.

    `_waiting` and `_is_led` are guarded by `_guard`. One caller at a time leads: it runs for
    all that wait, and hands on to the first who came meanwhile. If a run for several fails,
    each is run alone, so that only the one at fault fails; without `apart` each of them is
    told the same, which is for runs that must not be done twice.

    Callers who come again and again would split into two halves that take turns for good. With
    a clock, a run that follows another waits for those whom that one has answered: for half as
    long as it took, and `gather_seconds`, at most. Nobody who calls alone ever waits.
    """

    def __init__(
        self,
        run: Callable[[Sequence[S]], Sequence[R]],
        *,
        apart: bool = True,
        clock: Clock | None = None,
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self._run: Final = run
        self._apart: Final = apart
        self._clock: Final = clock
        self._gather_seconds: Final = gather_seconds
        self._guard = Lock()
        self._gathered = Condition(self._guard)
        self._expected = 0  # those whom the last run answered, and who waited for its end
        self._gather_until = 0.0
        self._is_led = False
        self._waiting: list[_Caller[S, R]] = []

    def __call__(self, share: S) -> R:
        """Return what the run came to for this share, or raise what it raised."""
        mine: _Caller[S, R] = _Caller(share)
        with self._guard:
            self._waiting.append(mine)
            leads = not self._is_led
            self._is_led = True
            if len(self._waiting) == self._expected:
                self._gathered.notify()
        if not leads:
            mine.woken.acquire()
        if not mine.is_done:
            self._lead(mine)
        if mine.error is not None:
            try:
                raise mine.error
            finally:
                mine.error = None  # breaks the cycle of the traceback with this frame
        return mine.result  # type: ignore[return-value]  # set, as there was no error

    def _lead(self, mine: _Caller[S, R]) -> None:
        with self._guard:
            began = self._gather()
            taken, self._waiting = self._waiting, []
        self._serve(taken)
        for caller in taken:
            if caller is not mine:
                caller.woken.release()
        with self._guard:
            if self._clock is not None:
                ended = self._clock.monotonic()
                self._gather_until = ended + min((ended - began) / 2, self._gather_seconds)
                self._expected = len(taken) + len(self._waiting)
            if self._waiting:
                self._waiting[0].woken.release()
            else:
                self._is_led = False

    def _gather(self) -> float:
        """Wait for those who are about to call; return when the run begins. Holds `_guard`."""
        if self._clock is None:
            return 0.0
        left = self._gather_until - self._clock.monotonic()
        if left > 0:
            self._gathered.wait_for(lambda: len(self._waiting) >= self._expected, left)
        return self._clock.monotonic()

    def _serve(self, callers: Sequence[_Caller[S, R]]) -> None:
        try:
            results = self._run([caller.share for caller in callers])
            pairs = list(zip(callers, results, strict=True))
        except BaseException as error:  # noqa: BLE001  # whatever it is, somebody waits for it
            is_one = isinstance(error, Exception) and not isinstance(error, StoreUnavailableError)
            # Where the store is away, each alone would only wait for the same again.
            if self._apart and is_one and len(callers) > 1:
                for caller in callers:
                    self._serve([caller])
                return
            for caller in callers:
                # An error of its own for each: a traceback is not shared by threads.
                told = copy(error) if isinstance(error, ServiceError) and callers[1:] else error
                caller.error, caller.is_done = told, True
            return
        for caller, result in pairs:
            caller.result, caller.is_done = result, True
