"""docs/operations.md installs, upgrades and rolls back: typed as it is written, on PostgreSQL.

Root's directories are some of the test's own, systemd is a small stand-in that runs our units, and
the later version is this one with a further migration.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.schema import HEAD
from tests.support.ports import free_port
from tests.support.postgres_server import PostgresServer, binaries
from tests.support.versions_of_program import later_version

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "operations.md"
SYSTEMCTL = ROOT / "tests" / "support" / "systemctl"
REGISTRIES = "registries: [{host: registry.example.com}]\n"


def chapter(title: str) -> list[str]:
    """Return what a chapter types: the lines of its blocks marked `console`."""
    (text,) = re.findall(
        rf"^## {title}\n(.*?)(?=^## )", GUIDE.read_text(), re.DOTALL | re.MULTILINE
    )
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


class Machine:
    """Where what root would write lies, and what stands in for root's programs."""

    def __init__(self, directory: Path, server: PostgresServer) -> None:
        self.directory = directory
        self.address = f"127.0.0.1:{free_port()}"
        self._server = server
        for name in ("bin", "opt", "var", "etc/sealwright/secrets", "etc/systemd/system"):
            (directory / name).mkdir(parents=True)
        (directory / "bin" / "systemctl").symlink_to(SYSTEMCTL)

    def placed(self, text: str) -> str:
        """Return the text with our places in it for those of a real machine."""
        for written, real in (
            ("/opt/sealwright", f"{self.directory}/opt/sealwright"),
            ("/etc/s", f"{self.directory}/etc/s"),
            ("/var/lib/sealwright", f"{self.directory}/var"),
            ("@db.example.com/sealwright", f"@/sealwright?host={self._server.socket_directory}"),
            ("127.0.0.1:8750", self.address),
        ):
            text = text.replace(written, real)
        return text

    def install(self, version: str, environment: dict[str, str]) -> None:
        """Stand in for pip: this program, in that environment."""
        program = Path(sys.executable).with_name("sealwright")
        exports = "".join(f"export {name}='{value}'\n" for name, value in environment.items())
        file = self.directory / "opt" / f"sealwright-{version}" / "bin" / "sealwright"
        file.parent.mkdir(parents=True)
        file.write_text(f'#!/bin/sh\n{exports}exec {program} "$@"\n')
        file.chmod(0o755)

    def type(self, *lines: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", self.placed("set -o pipefail\n" + "\n".join(lines))],
            cwd=self.directory,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        logs = "".join(
            log.read_text()[-3000:] for log in self.directory.glob("etc/systemd/system/*.log")
        )
        assert done.returncode == 0, done.stdout + done.stderr + logs
        return done.stdout

    def environment(self) -> dict[str, str]:
        path = (
            self.directory / "bin",
            self.directory / "opt" / "sealwright" / "bin",
            binaries(),
            os.environ["PATH"],
        )
        return {
            "PATH": ":".join(str(each) for each in path),
            "HOME": str(self.directory),
            "PGHOST": str(self._server.socket_directory),
            "PGUSER": "postgres",
            "UNITS": str(self.directory / "etc" / "systemd" / "system"),
        }


@pytest.fixture
def machine(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Machine]:
    made = Machine(tmp_path, postgres_server)
    subprocess.run(
        [str(ROOT / "softhsm-setup.sh"), str(tmp_path / "token")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    token = dict(
        line.replace("'", "").split("=", 1)
        for line in (tmp_path / "token" / "token.env").read_text().splitlines()
    )
    secrets = tmp_path / "etc" / "sealwright" / "secrets"
    (secrets / "pin").write_text(Path(token.pop("SEALWRIGHT_PIN_FILE")).read_text())
    (tmp_path / "etc" / "sealwright" / "registries.yaml").write_text(REGISTRIES)
    (tmp_path / "etc" / "sealwright" / "policy.yaml").write_text("signing: {must_exist: false}\n")
    units = tmp_path / "deploy" / "systemd"
    units.mkdir(parents=True)
    for file in (ROOT / "deploy" / "systemd").iterdir():
        text = file.read_text()
        for name, value in token.items():
            text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        (units / file.name).write_text(made.placed(text))
    with (units / "sealwright.env").open("a") as env:
        env.write(f"SOFTHSM2_CONF={token['SOFTHSM2_CONF']}\n")
    try:
        yield made
    finally:
        subprocess.run([SYSTEMCTL, "stop-all"], env=made.environment(), check=True, timeout=120)
        postgres_server.execute("DROP DATABASE IF EXISTS sealwright WITH (FORCE)")
        postgres_server.execute("DROP ROLE IF EXISTS sealwright")


@pytest.mark.timeout(900)
def test_an_operator_installs_upgrades_and_rolls_back_by_the_guide(machine: Machine) -> None:
    later = {"r9001": ("ALTER TABLE signatures ADD COLUMN later TEXT",)}
    machine.install("0.1.0", {})
    machine.install(
        "0.2.0", later_version(machine.directory / "later", later, before=HEAD, oldest=HEAD)
    )
    installed = machine.type(*chapter("Install"))
    assert "keeper: custodian, token in keeper.token" in installed
    assert '"ready":true' in installed.replace(" ", "")
    secrets = machine.directory / "etc" / "sealwright" / "secrets"
    assert secrets.stat().st_mode & 0o077 == 0

    sign = (
        f"export SEALWRIGHT_URL=http://127.0.0.1:8750 SEALWRIGHT_TOKEN_FILE={machine.directory}/ci.token",
        "sealwright sign --no-attach registry.example.com/team/app@sha256:" + "0" * 64,
    )
    settings = (
        "set -a; . /etc/sealwright/sealwright.env; set +a",
        "export SEALWRIGHT_DATABASE_URL_FILE=/etc/sealwright/secrets/database-url",
    )
    assert "signed  " in machine.type(*sign)

    upgraded = machine.type(*settings, *chapter("Upgrade"))
    assert f"schema {HEAD}, for programs since {HEAD}; this program is of {HEAD}" in upgraded
    assert "the database has the schema of this version, r9001" in upgraded
    assert "this program is of r9001" in machine.type(*settings, "sealwright db status")
    assert "signed  " in machine.type(*sign)

    back = machine.type(*settings, *chapter("Roll back"))
    assert f"schema r9001, for programs since {HEAD}; this program is of {HEAD}" in back
    assert "signed  " in machine.type(*sign)
