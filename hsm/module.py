"""One PKCS#11 module in one process: loaded once, initialised for threads, fenced by epochs.

- python-pkcs11 initialises a module as single-threaded and then calls it without the GIL,
  which crashes SoftHSM. So it is initialised here with CKF_OS_LOCKING_OK (PKCS#11 2.40, 5.4).
- C_Finalize while another thread is inside the module crashes it. So every use is counted,
  and `reinit` waits until nobody is inside.
- Handles are given out again after that: an old one may then name another key. So `use`
  yields the epoch, and whoever holds a handle of another epoch must throw it away.
- A call that does not come back is noticed: every stay inside is on record (`hsm.watchdog`).
- A forked child must not touch a module that its parent has loaded. It gets an error.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

import pkcs11
from pkcs11 import _pkcs11
from pkcs11.types import SignMixin

from hsm import watchdog
from hsm.cryptoki import (
    CKR_CANT_LOCK,
    CKR_CRYPTOKI_ALREADY_INITIALIZED,
    CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_OK,
    Cryptoki,
)
from hsm.errors import CallStuckError, ModuleInheritedError, ModuleLoadError
from hsm.quirks import quirks, wanted_init_args
from hsm.sign_call import SignCall

DRAIN_SECONDS: Final = 10.0  # far longer than a chunk of signatures on a healthy, slow HSM


class _Library(_pkcs11.lib):
    """python-pkcs11's library, initialised and finalised by us, and never unloaded.

    Unloading at the end of the process would call C_Finalize with the GIL held, and take the
    code away from under threads that have not come back.
    """

    def __new__(cls, path: str, init_args: str | None) -> Self:
        # Its C constructor takes no more.
        return super().__new__(cls, path)  # type: ignore[call-arg]  # of the C class

    def __init__(self, path: str, init_args: str | None) -> None:
        self.cryptoki = Cryptoki(self)
        self.init_args = init_args
        self.one_at_a_time = False
        super().__init__(path)  # calls initialize
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    def initialize(self) -> None:
        returned = self.cryptoki.initialize(self.init_args)
        if returned == CKR_CANT_LOCK:
            self.one_at_a_time = True
            returned = self.cryptoki.initialize(self.init_args, locking=False)
        if returned not in (CKR_OK, CKR_CRYPTOKI_ALREADY_INITIALIZED):
            raise pkcs11.PKCS11Error(f"C_Initialize: CK_RV {returned:#x}")

    def finalize(self) -> None:
        returned = self.cryptoki.finalize()
        if returned not in (CKR_OK, CKR_CRYPTOKI_NOT_INITIALIZED):
            raise pkcs11.PKCS11Error(f"C_Finalize: CK_RV {returned:#x}")


def handle_of(thing: pkcs11.Session | SignMixin) -> int:
    """Return the number that the module knows a session or an object by."""
    handle: int = thing.handle  # type: ignore[union-attr,assignment]  # the C classes have it
    return handle


class Module:
    """A loaded module.

    Invariants, guarded by `_changed`:
    - `_inside` counts the threads between the begin and the end of `use`.
    - While `_closed`, nobody enters; C_Finalize is called only then, with `_inside` at zero.
    - `_epoch` grows with every C_Finalize, whether or not C_Initialize succeeds after it.
    """

    def __init__(self, path: Path, init_args: str | None) -> None:
        """Load and initialise. Use `load`, which does it once in a process.

        Raises:
            ModuleLoadError
        """
        self.path = path
        self.init_args = init_args
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._serial = threading.RLock()
        self._inside = 0
        self._closed = False
        self._epoch = 1
        try:
            with watchdog.inside(str(path)):
                self._library = _Library(str(path), init_args)
        except (OSError, pkcs11.PKCS11Error) as error:
            text = f"the PKCS#11 module {path.name} cannot be loaded"
            wanted = wanted_init_args(path)
            if wanted is not None and init_args is None:
                text += f"; it wants init_args like {wanted}"
            raise ModuleLoadError(text) from error
        if quirks(library=self.manufacturer).one_at_a_time:
            self._library.one_at_a_time = True

    @property
    def epoch(self) -> int:
        return self._epoch

    @contextmanager
    def use(self) -> Iterator[int]:
        """Stay inside the module; yields the epoch, which does not change meanwhile.

        Raises:
            ModuleInheritedError, CallStuckError
        """
        if os.getpid() != self._pid:
            raise _inherited(self.path)
        with self._changed:
            if self._closed and not self._changed.wait_for(self._open, DRAIN_SECONDS):
                raise CallStuckError("the HSM is being initialised again, and does not finish")
            self._inside += 1
            epoch = self._epoch
        try:
            with self._one_at_a_time(), watchdog.inside(str(self.path)):
                yield epoch
        finally:
            with self._changed:
                self._inside -= 1
                if self._closed:
                    self._changed.notify_all()

    def reinit(self, seen_epoch: int, *, drain_seconds: float = DRAIN_SECONDS) -> bool:
        """Finalise and initialise again, unless that has happened since `seen_epoch`.

        Returns whether it was done here. Must not be called from inside `use`.

        Raises:
            CallStuckError: a call has not come back; nothing was done.
            ModuleLoadError: the module does not initialise; the next attempt may.
        """
        if os.getpid() != self._pid:
            raise _inherited(self.path)
        with self._changed:
            if self._closed and not self._changed.wait_for(self._open, drain_seconds):
                raise CallStuckError("the HSM is being initialised again, and does not finish")
            if self._epoch != seen_epoch:
                return False
            self._closed = True
            if not self._changed.wait_for(lambda: self._inside == 0, drain_seconds):
                self._closed = False
                self._changed.notify_all()
                raise CallStuckError("a call to the HSM does not come back")
        try:
            with watchdog.inside(str(self.path)):
                self._library.finalize()
                watchdog.begin()
                self._library.initialize()
        except pkcs11.PKCS11Error as error:
            raise ModuleLoadError(
                f"the PKCS#11 module {self.path.name} does not initialise"
            ) from error
        finally:
            with self._changed:
                self._epoch += 1
                self._closed = False
                self._changed.notify_all()
        return True

    def _open(self) -> bool:
        return not self._closed

    def _one_at_a_time(self) -> AbstractContextManager[object]:
        return self._serial if self._library.one_at_a_time else nullcontext()

    @property
    def one_at_a_time(self) -> bool:
        """Whether the module cannot lock, or not well, so that calls take turns."""
        return self._library.one_at_a_time

    @property
    def manufacturer(self) -> str:
        """CK_INFO.manufacturerID."""
        return str(self._library.manufacturer_id)

    @property
    def description(self) -> str:
        """CK_INFO.libraryDescription and the versions."""
        about = self._library
        versions = f"{_dotted(about.library_version)}, Cryptoki {_dotted(about.cryptoki_version)}"
        return f"{about.library_description} {versions}"

    # What follows is called inside `use` only.

    def slots(self) -> list[pkcs11.Slot]:
        return self._library.get_slots()

    def free_private_bytes(self, slot: pkcs11.Slot) -> int | None:
        return self._library.cryptoki.free_private_bytes(slot.slot_id)

    def login(self, session: pkcs11.Session, pin: str) -> None:
        """C_Login; to be logged in already is success.

        Through ctypes, because `Token.open` leaks the session that it opened when the login
        fails.
        """
        with suppress(pkcs11.UserAlreadyLoggedIn):
            self._library.cryptoki.login(handle_of(session), pin.encode())

    def logout(self, session: pkcs11.Session) -> None:
        """C_Logout, which no pool ever does: it voids the handles of all sessions."""
        self._library.cryptoki.logout(handle_of(session))

    def sign_call(
        self, mechanism: int, parameter: tuple[int, int, int] | None, *, room: int
    ) -> SignCall:
        """Return how to sign with this mechanism, for one thread; see `hsm.sign_call`."""
        return SignCall(self._library.cryptoki, mechanism, parameter, room=room)

    def init_token(self, slot: pkcs11.Slot, so_pin: str, label: str) -> None:
        self._library.cryptoki.init_token(slot.slot_id, so_pin.encode(), label)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


_modules: dict[str, Module] = {}
_inherited_paths: frozenset[str] = frozenset()
_loading = threading.Lock()


@lru_cache(maxsize=64)
def _file_of(path: Path) -> str:
    """Return what dlopen tells modules apart by, looked up once: each call of a token asks."""
    return os.path.realpath(path)


def load(path: Path, init_args: str | None = None) -> Module:
    """Return this process's module of that file, loaded on first use.

    `init_args` is a text that some modules want at C_Initialize; it belongs to the module,
    so whoever loads it must give the same.

    Raises:
        ModuleLoadError, ModuleInheritedError
    """
    real = _file_of(path)
    if real in _inherited_paths:
        raise _inherited(path)
    with _loading:
        module = _modules.get(real)
        if module is None:
            module = _modules[real] = Module(Path(real), init_args)
    if module.init_args != init_args:
        raise ModuleLoadError(f"the PKCS#11 module {path.name} is in use with other init_args")
    return module


def _inherited(path: Path) -> ModuleInheritedError:
    return ModuleInheritedError(
        f"the PKCS#11 module {path.name} was loaded before this process was forked"
    )


def _after_fork_in_child() -> None:
    # The lock may have been held by a thread that this process does not have.
    global _inherited_paths, _loading  # noqa: PLW0603 -- per-process state, as the module is
    _inherited_paths |= _modules.keys()
    _loading = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
