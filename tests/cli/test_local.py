"""Commands of the service's own machine, on a real store and SoftHSM-less settings."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.domain.callers import Role
from service.domain.tokens import is_well_formed
from service.store.schema import HEAD, OLDEST_PROGRAM

Shell = Callable[..., Any]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a state directory and a registries file, and nothing else configured."""
    for name in ("PKCS11_MODULE", "TOKEN_LABEL", "PIN_FILE", "POLICY_FILE", "DATABASE_URL"):
        monkeypatch.delenv(f"SEALWRIGHT_{name}", raising=False)
    registries = tmp_path / "registries.yaml"
    registries.write_text("registries: []\n")
    monkeypatch.setenv("SEALWRIGHT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SEALWRIGHT_REGISTRIES_FILE", str(registries))
    return tmp_path


def test_the_first_admin_is_made_once_on_a_migrated_database(shell: Shell, machine: Path) -> None:
    first = ("credentials", "create", "root", "--person", "Ada", "--first")
    before = shell(*first, "--output", str(machine / "early"), role=None)
    assert (before.code, (machine / "early").exists()) == (4, False)
    assert shell("db", "upgrade", role=None).code == 0
    assert shell("db", "upgrade", role=None).code == 0
    made = shell(*first, "--output", str(machine / "root.token"), role=None)
    assert (made.code, made.out) == (0, f"root: admin, token in {machine / 'root.token'}\n")
    assert is_well_formed((machine / "root.token").read_text())
    assert stat.S_IMODE((machine / "root.token").stat().st_mode) == 0o600
    second = shell("credentials", "create", "root2", *first[3:], role=Role.ADMIN)
    assert (second.code, second.out) == (2, "")
    assert "An admin exists already" in second.err


def test_the_schema_is_shown_beside_the_program(shell: Shell, machine: Path) -> None:
    away = shell("db", "status", role=None)
    assert (away.code, away.out) == (4, "")
    assert shell("db", "upgrade", role=None).out == (
        f"the database has the schema of this version, {HEAD}\n"
    )
    shown = shell("db", "status", role=None)
    assert shown.code == 0
    assert shown.out == (
        f"schema {HEAD}, for programs since {OLDEST_PROGRAM}; this program is of {HEAD}\n"
    )
    written = sqlite3.connect(machine / "state" / "sealwright.db", isolation_level=None)
    written.execute("UPDATE alembic_version SET version_num = 'r9999'")
    newer = shell("db", "status", "--json", role=None)
    assert (newer.code, newer.json["works"], newer.json["schema"]) == (0, True, "r9999")
    assert "newer schema, r9999, and this version" in shell("db", "upgrade", role=None).out
    written.execute("UPDATE schema_programs SET oldest = 'r9999'")
    beyond = shell("db", "status", role=None)
    assert (beyond.code, "do not work together: run a newer version" in beyond.out) == (4, True)
    refused = shell("db", "upgrade", role=None)
    assert (refused.code, "needs a program of r9999 or newer" in refused.err) == (4, True)
    written.execute("UPDATE alembic_version SET version_num = 'r0001'")
    older = shell("db", "status", role=None)
    assert (older.code, "together: sealwright db upgrade" in older.out) == (4, True)
    written.execute("DROP TABLE alembic_version")
    written.close()
    empty = shell("db", "status", role=None)
    assert (empty.code, empty.out.startswith("schema none, ")) == (4, True)


def test_the_configuration_is_checked_without_a_start(
    shell: Shell, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = shell("config", "check", role=None)
    assert wrong.code == 2
    assert wrong.out.count("wrong  ") == 3
    assert len(shell("config", "check", "--json", role=None).json["faults"]) == 3
    pin = machine / "pin"
    pin.write_text("1234")
    monkeypatch.setenv("SEALWRIGHT_PKCS11_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
    monkeypatch.setenv("SEALWRIGHT_TOKEN_LABEL", "test")
    monkeypatch.setenv("SEALWRIGHT_PIN_FILE", str(pin))
    sound = shell("config", "check", role=None)
    assert (sound.code, sound.out) == (0, "the configuration is sound\n")
    policy = machine / "policy.yaml"
    policy.write_text("signing: {allow_tags: false}\nsigning: {allow_tags: true}\n")
    monkeypatch.setenv("SEALWRIGHT_POLICY_FILE", str(policy))
    twice = shell("config", "check", role=None)
    assert (twice.code, "wrong  policy: not YAML: signing stands there twice" in twice.out) == (
        2,
        True,
    )
    policy.write_text("signing: {allow_tags: true}\n")
    assert shell("config", "check", role=None).code == 0
    (machine / "registries.yaml").write_text("registries: 7\n")
    assert shell("config", "check", role=None).code == 2
    # The files are looked at even where the settings themselves are wrong.
    monkeypatch.setenv("SEALWRIGHT_WORKERS", "many")
    faults = shell("config", "check", "--json", role=None).json["faults"]
    assert [fault.partition(" ")[0] for fault in faults] == ["SEALWRIGHT_WORKERS", "registries:"]
    (machine / "timestamps.yaml").write_text("authorities: [{name: example}]\n")
    monkeypatch.setenv("SEALWRIGHT_TIMESTAMPS_FILE", str(machine / "timestamps.yaml"))
    more = shell("config", "check", "--json", role=None).json["faults"]
    assert [fault for fault in more if fault not in faults] == [
        "SEALWRIGHT_TIMESTAMPS_FILE: authorities[0].url: missing",
        "SEALWRIGHT_TIMESTAMPS_FILE: authorities[0].chain_file: missing",
    ]


def test_the_doctor_names_each_part_and_the_cure(shell: Shell, machine: Path) -> None:
    unmigrated = {f["what"]: f for f in shell("doctor", "--json", role=None).json}
    assert "unable to open database file" in unmigrated["store"]["problem"]
    assert "db upgrade" in unmigrated["store"]["cure"]
    shell("db", "upgrade", role=None)
    ended = shell("doctor", role=None)
    assert ended.code == 4
    assert "sound  store" in ended.out
    assert "wrong  configuration: SEALWRIGHT_PIN_FILE is not set" in ended.out


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_process_that_cannot_start_says_why(shell: Shell, machine: Path, command: str) -> None:
    ended = shell(command, role=None)
    assert ended.code == 2
    assert "SEALWRIGHT_TOKEN_LABEL is not set" in ended.err
