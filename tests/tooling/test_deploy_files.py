"""What deploy/ says fits the service: its settings, its commands, its users, its limits."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from service.bootstrap.policy_file import read_policy
from service.bootstrap.tokens_file import load_tokens
from service.cli.main import cli
from service.registry import RegistryBook

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE = DEPLOY / "compose" / "compose.yaml"


def documented_settings() -> set[str]:
    return set(re.findall(r"SEALWRIGHT_[A-Z_0-9]+", (ROOT / "docs" / "operations.md").read_text()))


def every_file() -> list[Path]:
    return [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]


@pytest.mark.parametrize("file", every_file(), ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_in_it_is_one_that_the_service_reads(file: Path) -> None:
    local = {"SEALWRIGHT_IMAGE", "SEALWRIGHT_UID"}  # of the compose file itself
    used = set(re.findall(r"SEALWRIGHT_[A-Z_0-9]+", file.read_text())) - local
    known = documented_settings()
    assert used <= known | {f"{name}_FILE" for name in known}


def runs(arguments: list[str]) -> bool:
    """Whether our command line has this command."""
    group: click.Command | None = cli
    for word in arguments:
        if not isinstance(group, click.Group) or word.startswith("-"):
            break
        group = group.get_command(click.Context(group), word)
        if group is None:
            return False
    return True


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_each_unit_as_it_is(unit: Path, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("sealwright")
    text = unit.read_text().replace("/opt/sealwright/bin/sealwright", str(program))
    for line in re.findall(r"^Exec\w+=(.*)$", text, re.MULTILINE):
        assert runs(shlex.split(line)[1:]), line
    (tmp_path / unit.name).write_text(text)
    assert judged(tmp_path / unit.name) == (0, "")
    (tmp_path / unit.name).write_text(text.replace("ProtectSystem=", "ProtectSistem="))
    assert "ProtectSistem" in judged(tmp_path / unit.name)[1]


def judged(unit: Path) -> tuple[int, str]:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # Other units of this machine are read too, and are nobody's business here.
    ours = [line for line in done.stderr.splitlines() if unit.name in line]
    return done.returncode, "\n".join(ours)


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def test_each_service_of_the_compose_file_runs_a_command_that_exists() -> None:
    ours = {name: each for name, each in services().items() if "SEALWRIGHT_" in each["image"]}
    assert set(ours) == {"migrate", "api", "worker"}
    assert all(runs(each["command"]) for each in ours.values())
    assert not runs(["no-such-command"])


def test_the_compose_file_publishes_on_loopback_alone() -> None:
    published = [port for each in services().values() for port in each.get("ports", ())]
    assert published == ["127.0.0.1:8750:8750"]


def test_no_secret_of_the_compose_file_stands_in_an_environment() -> None:
    for each in services().values():
        for name, value in each.get("environment", {}).items():
            secret = re.search("PASSWORD|PIN|TOKEN|SECRET|URL", name)
            assert not secret or str(value).startswith(("/run/secrets/", "/etc/sealwright/")), name


def test_prepare_makes_every_file_that_the_compose_file_names_and_changes_nothing_twice(
    tmp_path: Path,
) -> None:
    for name in ("prepare", "compose.yaml"):
        (tmp_path / name).write_bytes((DEPLOY / "compose" / name).read_bytes())

    def prepare() -> dict[str, bytes]:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SEALWRIGHT_UID": str(os.getuid())}
        subprocess.run(
            ["sh", tmp_path / "prepare", "--no-token"], check=True, env=environment, timeout=60
        )
        return {
            str(path.relative_to(tmp_path)): path.read_bytes()
            for path in tmp_path.rglob("*")
            if path.is_file()
        }

    made = prepare()
    assert prepare() == made
    wanted = [
        Path(each["file"]) for each in yaml.safe_load(COMPOSE.read_text())["secrets"].values()
    ]
    assert {str(path) for path in wanted} <= set(made)
    assert all((tmp_path / path).stat().st_mode & 0o077 == 0 for path in wanted)
    password = made["secrets/database-password"]
    assert len(password) == 48
    assert password in made["secrets/database-url"]
    (token,) = load_tokens(tmp_path / "config" / "tokens.yaml")
    assert token.pin_file == Path("/run/secrets/pin")
    RegistryBook(tmp_path / "config" / "registries.yaml")
    assert not read_policy(tmp_path / "config" / "policy.yaml").signing.allow_tags
