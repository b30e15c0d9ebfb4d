"""PKCS#11 modules of four kinds, each with a token: what a process needs to use them.

`Vendor.run` runs a Python program where the module works: with its environment, and for
opencryptoki in namespaces of its own. Modules of vendors are used in such processes only, since
each stays loaded for good and takes its settings from the environment.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.softhsm import SoftHSM, TokenFixture, make_softhsm

ROOT = Path(__file__).parents[2]
KIT_CLIENTS = ("/usr/lib/*/pkcs11/p11-kit-client.so", "/usr/lib64/pkcs11/p11-kit-client.so")
NSS_MODULES = ("/usr/lib/*/libsoftokn3.so", "/usr/lib64/libsoftokn3.so")
OCK_MODULES = (
    "/usr/lib/*/opencryptoki/libopencryptoki.so.0",
    "/usr/lib64/opencryptoki/libopencryptoki.so.0",
)
START_SECONDS = 120.0

NSS_INIT = """
import sys
from pathlib import Path
from hsm.module import load
from hsm.tokens import tokens
module = load(Path(sys.argv[1]), sys.argv[2])
with module.use():
    [token] = [each for each in tokens(module) if each.label == "nss"]
    session = token.open(rw=True, so_pin="")
    session.init_pin(Path(sys.argv[3]).read_text())
    session.close()
"""


def installed(patterns: Sequence[str]) -> Path:
    found = [path for pattern in patterns for path in Path("/").glob(pattern.lstrip("/"))]
    assert found, f"not installed: scripts/system-packages test ({patterns[0]})"
    return found[0]


@dataclass(frozen=True)
class Vendor:
    """A token of some vendor, and how to run a program that uses it."""

    module: Path
    label: str
    pin_file: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    serial: str | None = None
    init_args: str | None = None
    before: tuple[str, ...] = ()

    def run(
        self, arguments: Sequence[str], *, check: bool = True, timeout: float = 100
    ) -> subprocess.CompletedProcess[str]:
        """Run `python ARGUMENTS…` in the source tree."""
        done = subprocess.run(
            [*self.before, sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done


class KitServer:
    """`p11-kit server` in front of a SoftHSM directory: a network HSM that can be killed."""

    def __init__(self, softhsm: SoftHSM, directory: Path) -> None:
        self.softhsm = softhsm
        self.socket = directory / "p11-kit.sock"
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        return {"P11_KIT_SERVER_ADDRESS": f"unix:path={self.socket}"}

    def start(self) -> None:
        program = shutil.which("p11-kit")
        assert program is not None, "not installed: scripts/system-packages test (p11-kit)"
        self.socket.unlink(missing_ok=True)
        command = [program, "server", "-f", "--provider", str(self.softhsm.module)]
        command += ["-n", str(self.socket), "pkcs11:"]
        self._server = subprocess.Popen(
            command, env={**self.softhsm.environment}, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.socket.exists():
            assert self._server.poll() is None, "p11-kit server has ended"
            assert time.monotonic() < deadline, "p11-kit server did not start"
            time.sleep(0.01)

    def connections(self) -> list[int]:
        """Return the pids of its children: each client process has one."""
        if self._server is None:
            return []
        parent = str(self._server.pid)
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and _parent(entry) == parent:
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def freeze(self) -> None:
        """Let it answer nobody, neither on the connections that there are nor on new ones."""
        self._signal(signal.SIGSTOP)

    def freeze_connections(self) -> None:
        """Let it answer nobody on the connections that there are; new ones are welcome."""
        for pid in self.connections():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def cut(self) -> None:
        """Break the connections that there are; new ones are welcome."""
        for pid in self.connections():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._server is None:
            return
        # The listener first, so that no connection is made in between.
        for pid in (self._server.pid, *self.connections()):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Let it vanish, with every connection."""
        if self._server is None:
            return
        children = self.connections()
        self._server.kill()
        self._server.wait()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._server = None


def _parent(entry: Path) -> str:
    return (entry / "stat").read_text().rpartition(")")[2].split()[1]


def softhsm_vendor(directory: Path) -> Vendor:
    token = make_softhsm(directory).token("soft")
    return _of(token, {"SOFTHSM2_CONF": str(directory / "softhsm2.conf")})


def nss_vendor(directory: Path) -> Vendor:
    module = installed(NSS_MODULES)
    (directory / "db").mkdir()
    pin_file = directory / "pin"
    pin_file.write_text("4711-1234")
    init_args = (
        f"configdir='sql:{directory}/db' certPrefix='' keyPrefix='' secmod='' flags= "
        "dbTokenDescription='nss'"
    )
    made = Vendor(module, "nss", pin_file, init_args=init_args)
    made.run(["-c", NSS_INIT, str(module), init_args, str(pin_file)])
    return made


def opencryptoki_vendor(directory: Path) -> Vendor:
    module = installed(OCK_MODULES)
    (directory / "so-pin").write_text("87654321")  # of every new token
    (directory / "pin").write_text("12341234")
    script = Path(__file__).with_name("opencryptoki.sh")
    return Vendor(
        module,
        "ock",
        directory / "pin",
        environment={"OPENCRYPTOKI": str(module), "PYTHON": sys.executable},
        before=(str(script), str(directory)),
    )


@contextmanager
def kit_vendor(directory: Path) -> Iterator[tuple[Vendor, KitServer]]:
    softhsm = make_softhsm(directory)
    token = softhsm.token("remote")
    server = KitServer(softhsm, directory)
    server.start()
    try:
        client = installed(KIT_CLIENTS)
        yield Vendor(client, token.label, token.pin_file, dict(server.environment)), server
    finally:
        server.kill()


def _of(token: TokenFixture, environment: Mapping[str, str]) -> Vendor:
    return Vendor(token.module, token.label, token.pin_file, environment, token.serial)
