"""Sessions of one token, and the ladder of what is done when the token fails.

Rungs, cheapest first: another session; another login; the module initialised again. What
none of them cures is reported, and the token then left alone for a moment.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeVar

import pkcs11
from pkcs11.types import SignMixin

from hsm import module as modules
from hsm import watchdog
from hsm.backoff import Backoff
from hsm.errors import (
    HSMUnavailableError,
    PINRefusedError,
    TokenAbsentError,
    TokenBusyError,
    UnsupportedMechanismError,
)
from hsm.fellows import Fellowship
from hsm.ladder import SESSION_IS_GONE, Rung, rung
from hsm.lane import Lane
from hsm.login import PINGate, log_in
from hsm.module import Module
from hsm.tokens import (
    Slot,
    TokenAddress,
    close,
    find_token,
    probe_login,
    serial_of,
    slots,
)

MAX_ATTEMPTS: Final = 8  # each rung once and the module's four times, with errors in between

# What is done about a broken connection: seconds to wait, and whether C_Initialize follows.
# First without it, because it ends the sessions of all tokens of the module. The waits are for
# tokens that come to in a moment: SoftHSM looks broken to one process while another logs in.
_MODULE_STEPS: Final = ((0.01, False), (0.03, False), (0.05, True), (0.1, True))

_REFUSAL_PAUSES: Final = (0.0, 0.05)  # seconds, before what was refused is asked again
_ROOM_PAUSES: Final = (0.02, 0.1, 0.3)  # seconds in which a signature elsewhere ends

T = TypeVar("T")


class Recovery(Enum):
    """What was done to mend a token, for whoever counts it."""

    RELOGIN = auto()
    REINITIALISATION = auto()


@dataclass(slots=True, eq=False)
class Leased:
    """A session, lent to one thread, and the keys that were found through it."""

    module: Module
    session: pkcs11.Session
    epoch: int
    generation: int
    keys: dict[bytes, SignMixin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Login:
    epoch: int
    token: pkcs11.Token
    anchor: pkcs11.Session


class TokenPool:
    """Lends sessions out, each to at most one borrower.

    Invariants:
    - Only the anchor session logs in, and it lives as long as the login; the others share
      its login. None of them is closed with a PIN, so none logs the others out.
    - `_generation` grows whenever key handles may have become stale. A handle found under
      an older generation is looked up again, never used.
    - A session of another epoch is dropped without being closed: its number may by now
      be somebody else's.
    - `_lock` guards `_login`, `_idle` and `_generation`. `_logging_in` is held during a login;
      nobody waits for it inside `Module.use`, or a re-initialisation could not drain.
    """

    def __init__(
        self,
        address: TokenAddress,
        gate: PINGate,
        *,
        sessions: int,
        monotonic: Callable[[], float] = time.monotonic,
        noted: Callable[[Recovery], None] = lambda _: None,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        """Touches nothing: the module is loaded on first use.

        `noted` is told of recoveries. `admit` is asked before each operation, and raises a
        ModuleQuarantinedError where the module must be left alone.
        """
        self.address = address
        self._gate = gate
        self._noted = noted
        self._admit = admit
        # As many threads as sessions: whoever has a thread finds a session.
        self._lane = Lane(address.label, threads=sessions)
        self._backoff = Backoff(monotonic)
        self._lock = threading.Lock()
        self._logging_in = threading.Lock()
        self._login: _Login | None = None
        self._ever_logged_in = False
        self._idle: list[Leased] = []
        self._generation = 0
        self._last_try = False
        self._refused = False
        self._fellowship = Fellowship(self, monotonic)

    @property
    def serial(self) -> str | None:
        """The serial of the token as it was found, or as configured before that."""
        login = self._login
        return self.address.serial if login is None else serial_of(login.token)

    @property
    def is_sick(self) -> bool:
        """Whether the last operation failed for a reason of the token's own, the PIN included."""
        return self._refused or self._backoff.failing

    @property
    def generation(self) -> int:
        return self._generation

    def run(self, operation: Callable[[Leased], T]) -> T:
        """Do `operation` on a session, climbing the ladder for as long as that may help.

        `operation` is called again after an error, so it must be able to begin anew or go on.

        Raises:
            HSMUnavailableError, PINRefusedError, UnsupportedMechanismError, and what
            `operation` itself raises.
        """
        pause = self._backoff.remaining()
        if pause > 0:
            raise self._unavailable(pause)
        return self.call(lambda: self._run(operation))

    def call(self, function: Callable[[], T]) -> T:
        """Return or raise what `function` does, which calls the module in its own way.

        Raises:
            HSMUnavailableError: also where a call does not come back, to everybody who waits.
        """
        self._admit()
        return self._lane.run(function)

    def slots(self) -> list[Slot]:
        """Look at every slot of the token's module.

        Raises:
            HSMUnavailableError
        """
        address = self.address
        return self.call(lambda: slots(address.module, address.init_args))

    def let_go(self) -> None:
        """Let go of everybody who waits for the module: a call of it is stuck."""
        self._lane.let_go()

    @property
    def is_stuck(self) -> bool:
        return self._lane.is_stuck

    def _run(self, operation: Callable[[Leased], T]) -> T:
        ladder = _Ladder()
        try:
            while True:
                try:
                    with self._lease() as leased:
                        result = operation(leased)
                except _FailedError as failed:
                    self._climb(ladder, failed)
                else:
                    self._refused = False
                    self._backoff.succeeded()
                    return result
        except PINRefusedError:
            # No failure that passes by itself: asked anew each time, as the file may change.
            self._refused = True
            raise
        except TokenBusyError:
            raise  # it works, so that others need not leave it alone
        except HSMUnavailableError as error:
            error.retry_after = self._backoff.failed()
            raise

    def distrust(self, seen_generation: int) -> None:
        """Throw away every key handle found up to that generation."""
        with self._lock:
            if self._generation == seen_generation:
                self._generation += 1

    def retry_now(self) -> None:
        """Forget earlier failures: somebody says that the cause is mended.

        The next login may then be the token's last try, which we never spend by ourselves.
        """
        self._last_try = True
        self._backoff.succeeded()

    # --- the ladder -------------------------------------------------------------------

    def _climb(self, ladder: _Ladder, failed: _FailedError) -> None:
        """Do what the error calls for, or raise what it means if that was done before."""
        error = failed.error
        ladder.attempts += 1
        if isinstance(error, TokenAbsentError):
            self._mend_module(ladder, failed)
            return
        if ladder.attempts >= MAX_ATTEMPTS:
            raise self._unavailable() from error
        match rung(error):
            case Rung.SESSION:
                self.distrust(failed.generation)
            case Rung.LOGIN:
                self._forget_login(failed.generation)
            case Rung.MODULE:
                self._mend_module(ladder, failed)
            case Rung.CAPACITY:
                self._wait_for_room(ladder, failed)
            case Rung.PIN:
                raise PINRefusedError(
                    f"the token {self.address.label!r} wants another PIN"
                ) from error
            case Rung.CALLER:
                self._blame_caller(ladder, failed)

    def _blame_caller(self, ladder: _Ladder, failed: _FailedError) -> None:
        # Some modules (NSS) report a lost login in the same words.
        if not ladder.relogged and not self.is_logged_in():
            ladder.relogged = True
            self._forget_login(failed.generation)
            return
        if ladder.refusals == len(_REFUSAL_PAUSES):
            raise UnsupportedMechanismError(
                f"the token {self.address.label!r} cannot do this with this key"
            ) from failed.error
        # We ask for nothing that our tables do not allow, so it may be the token's own fault.
        time.sleep(_REFUSAL_PAUSES[ladder.refusals])
        ladder.refusals += 1
        self.distrust(failed.generation)

    def _wait_for_room(self, ladder: _Ladder, failed: _FailedError) -> None:
        """Give back the sessions that nobody uses, and let others end what they do."""
        with self._lock:
            idle, self._idle = self._idle, []
        with self._module().use() as epoch:
            for leased in idle:
                if leased.epoch == epoch:
                    close(leased.session)
        if ladder.room_steps == len(_ROOM_PAUSES):
            raise TokenBusyError(
                f"the token {self.address.label!r} has no session or memory left",
                retry_after=_ROOM_PAUSES[-1],
            ) from failed.error
        time.sleep(_ROOM_PAUSES[ladder.room_steps])
        ladder.room_steps += 1

    def _mend_module(self, ladder: _Ladder, failed: _FailedError) -> None:
        if ladder.module_steps == len(_MODULE_STEPS):
            if isinstance(failed.error, TokenAbsentError):
                raise failed.error
            raise self._unavailable() from failed.error
        seconds, reinit = _MODULE_STEPS[ladder.module_steps]
        ladder.module_steps += 1
        # Spread, so that processes which disturbed each other do not meet again.
        time.sleep(seconds * random.uniform(0.5, 1.5))  # noqa: S311 -- no secret depends on it
        self.distrust(failed.generation)
        # A network HSM that came back, and a new token, show only after this.
        if not reinit or not self._fellowship.may_initialize(failed.error):
            return
        if self._module().reinit(failed.epoch):
            self._noted(Recovery.REINITIALISATION)

    def is_logged_in(self) -> bool:
        """Ask the token. Must not be called from inside `Module.use`."""
        login = self._login
        if login is None:
            return False
        with self._module().use() as epoch:
            if epoch != login.epoch:
                return False
            try:
                probe_login(login.anchor)
            except pkcs11.PKCS11Error:
                return False
            return True

    def _unavailable(self, retry_after: float | None = None) -> HSMUnavailableError:
        return HSMUnavailableError(
            f"the token {self.address.label!r} does not answer", retry_after=retry_after
        )

    def _module(self) -> Module:
        return modules.load(self.address.module, self.address.init_args)

    # --- login ------------------------------------------------------------------------

    def _forget_login(self, seen_generation: int) -> None:
        with self._lock:
            if self._generation != seen_generation:
                return
            self._generation += 1
            login, self._login = self._login, None
        if login is not None:
            with self._module().use() as epoch:
                if login.epoch == epoch:
                    close(login.anchor)

    def _ensure_login(self, module: Module) -> _Login:
        login = self._login
        if login is not None and login.epoch == module.epoch:
            return login
        with self._logging_in:
            login = self._login
            if login is not None and login.epoch == module.epoch:
                return login
            last_try, self._last_try = self._last_try, False
            with module.use() as epoch:
                token = find_token(module, self.address.label, self.address.serial)
            self._check_tries(token, last_try=last_try)
            anchors: list[_Login] = []

            def attempt(pin: str) -> None:
                with module.use() as now:
                    if now != epoch:
                        raise pkcs11.SessionHandleInvalid("initialised again meanwhile")
                    session = token.open()
                    try:
                        module.login(session, pin)
                    except BaseException:
                        close(session)
                        raise
                    anchors.append(_Login(epoch, token, session))

            log_in(
                self._gate,
                label=self.address.label,
                serial=serial_of(token),
                pin_files=self.address.pin_files,
                attempt=attempt,
            )
            with self._lock:
                self._login = anchors[0]
                self._generation += 1
            if self._ever_logged_in:
                self._noted(Recovery.RELOGIN)
            self._ever_logged_in = True
            return anchors[0]

    def _check_tries(self, token: pkcs11.Token, *, last_try: bool) -> None:
        if pkcs11.TokenFlag.USER_PIN_LOCKED in token.flags:
            raise PINRefusedError(f"the token {self.address.label!r} has locked its user PIN")
        if pkcs11.TokenFlag.USER_PIN_FINAL_TRY in token.flags and not last_try:
            raise PINRefusedError(
                f"the token {self.address.label!r} has one try left, which a custodian may spend"
            )

    # --- sessions ---------------------------------------------------------------------

    @contextmanager
    def _lease(self) -> Iterator[Leased]:
        """Lend a session of the current epoch; it goes back unless an error came out of it.

        Raises:
            _FailedError: instead of each error that the ladder answers.
        """
        epoch, generation = 0, self._generation
        try:
            module = self._module()
            epoch = module.epoch
            login = self._ensure_login(module)
            generation = self._generation
            with module.use() as now:
                epoch = now
                if login.epoch != epoch:
                    raise pkcs11.SessionHandleInvalid("initialised again meanwhile")
                leased = self._take(module, login, generation)
                try:
                    yield leased
                except BaseException as error:
                    # Whatever it was, it may have left an operation active in the session.
                    watchdog.begin()
                    if not isinstance(error, SESSION_IS_GONE):
                        close(leased.session)
                    raise
                with self._lock:
                    self._idle.append(leased)
        except (pkcs11.PKCS11Error, TokenAbsentError) as error:
            raise _FailedError(error, epoch, generation) from error

    def _take(self, module: Module, login: _Login, generation: int) -> Leased:
        with self._lock:
            while self._idle:
                leased = self._idle.pop()
                if leased.epoch != login.epoch:
                    continue
                if leased.generation != generation:
                    leased.keys.clear()
                    leased.generation = generation
                return leased
        return Leased(module, login.token.open(), login.epoch, generation)


@dataclass(slots=True)
class _Ladder:
    """How far one `run` has climbed."""

    attempts: int = 0
    relogged: bool = False
    module_steps: int = 0
    refusals: int = 0
    room_steps: int = 0


class _FailedError(Exception):
    """An error with the epoch and generation in which it happened. Never leaves this file."""

    def __init__(
        self, error: pkcs11.PKCS11Error | TokenAbsentError, epoch: int, generation: int
    ) -> None:
        super().__init__(error)
        self.error = error
        self.epoch = epoch
        self.generation = generation
