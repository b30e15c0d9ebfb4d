"""One run for many callers: whoever comes while one is under way is served by the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final, Generic, TypeVar

from service.domain.errors import StoreUnavailableError

S = TypeVar("S")
R = TypeVar("R")


class _Caller(Generic[S, R]):
    """One caller's share. `result` or `error` is set before the turn is passed on."""

    __slots__ = ("error", "is_done", "result", "share")

    def __init__(self, share: S) -> None:
        self.share = share
        self.is_done = False
        self.result: R | None = None
        self.error: BaseException | None = None


class Joint(Generic[S, R]):
    """Answers each caller by a run that began after its call.

    `_waiting` is guarded by `_guard`. Who has `_turn` runs for all that wait; the others find
    themselves served when they get it. If a run for several fails, each is run alone, so that
    only the one at fault fails.
    """

    def __init__(self, run: Callable[[Sequence[S]], Sequence[R]]) -> None:
        self._run: Final = run
        self._guard = Lock()
        self._turn = Lock()
        self._waiting: list[_Caller[S, R]] = []

    def __call__(self, share: S) -> R:
        """Return what the run came to for this share, or raise what it raised."""
        mine: _Caller[S, R] = _Caller(share)
        with self._guard:
            self._waiting.append(mine)
        with self._turn:
            if not mine.is_done:
                with self._guard:
                    taken, self._waiting = self._waiting, []
                self._serve(taken)
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value]  # set, as there was no error

    def _serve(self, callers: Sequence[_Caller[S, R]]) -> None:
        try:
            results = self._run([caller.share for caller in callers])
        except BaseException as error:  # noqa: BLE001  # whatever it is, somebody waits for it
            if len(callers) > 1 and isinstance(error, Exception) and not _is_everybodys(error):
                for caller in callers:
                    self._serve([caller])
                return
            for caller in callers:
                caller.error, caller.is_done = _own(error), True
            return
        for caller, result in zip(callers, results, strict=True):
            caller.result, caller.is_done = result, True


def _is_everybodys(error: Exception) -> bool:
    """Whether each caller alone would only wait for the same failure again."""
    return isinstance(error, StoreUnavailableError)


def _own(error: BaseException) -> BaseException:
    """Return an error of the caller's own: a traceback is not shared by threads."""
    if isinstance(error, StoreUnavailableError):
        return StoreUnavailableError(str(error), retry_after=error.retry_after)
    return error
