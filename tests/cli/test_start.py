from __future__ import annotations

import subprocess
import sys

import click
import pytest

from service.cli.main import COMMANDS, cli

HEAVY = {"flask", "sqlalchemy", "marshmallow", "orjson", "cryptography", "pkcs11", "yaml"}
CLIENTS = ["sign", "verify", "keys", "credentials", "outbox", "slots"]


def imported_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_and_the_client_commands_load_nothing_heavy() -> None:
    help_only = imported_by(
        "from service.cli.main import run\nassert run(['--help']) == 0\nassert run(['x']) == 2"
    )
    assert not HEAVY & help_only
    loads = "\n".join(f"COMMANDS[{name!r}].load()" for name in [*CLIENTS, "explain"])
    commands = imported_by(f"from service.cli.main import COMMANDS\n{loads}")
    assert not HEAVY & commands


def test_the_description_of_the_api_is_what_loads_the_heavy_parts() -> None:
    assert {"flask", "marshmallow"} <= imported_by(
        "from service.cli.main import COMMANDS\nCOMMANDS['openapi'].load()"
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_loaded_and_shows_its_help(name: str) -> None:
    command = COMMANDS[name].load()
    assert command.name == name
    context = click.Context(command, info_name=name)
    assert command.get_help(context)


def test_the_list_of_commands_shows_each_with_its_summary() -> None:
    shown = cli.get_help(click.Context(cli))
    for name, command in COMMANDS.items():
        assert name in shown
        assert command.summary in shown
