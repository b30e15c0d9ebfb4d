"""The small parts of `sealwright dev`, without the product."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.bootstrap.dev import CUSTODIANS, PERSON, admin_token, custodian_token
from service.dev.errors import SetupError
from service.dev.leash import leashed
from service.dev.ports import listen, reserve
from service.dev.settings import base_environment
from service.dev.state import State, write_private
from service.domain.callers import Role
from service.domain.clock import SystemClock
from service.domain.errors import ConfigurationError
from service.domain.tokens import hash_token
from service.operations.credentials import make_first_admin
from service.ports.store import CredentialBook
from service.store import Store
from service.store.migrate import upgrade


def test_a_reserved_port_is_left_to_a_program_that_binds_it_and_to_no_one_by_chance(
    tmp_path: Path,
) -> None:
    with reserve(tmp_path / "port") as held, socket.socket() as program:
        address = held.getsockname()
        program.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        program.bind(address)
        program.listen()
        with socket.create_connection(address):
            pass


def test_a_port_comes_back_unless_somebody_else_has_it(tmp_path: Path) -> None:
    with listen(0, tmp_path / "port") as first:
        port = first.getsockname()[1]
        with listen(0, tmp_path / "port") as second:
            assert second.getsockname()[1] != port
    (tmp_path / "port").write_text(str(port))
    with listen(0, tmp_path / "port") as again:
        assert again.getsockname()[1] == port


@pytest.mark.parametrize("text", ["", "none", "99999999", "-1"])
def test_a_damaged_note_of_a_port_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "port").write_text(text)
    with listen(0, tmp_path / "port") as bound:
        assert (tmp_path / "port").read_text() == str(bound.getsockname()[1])


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    with listen(0, tmp_path / "port") as first, pytest.raises(SetupError, match="cannot be had"):
        listen(first.getsockname()[1], tmp_path / "port")


def test_settings_of_another_installation_are_not_inherited() -> None:
    env = {
        "PATH": "/bin",
        "SEALWRIGHT_POLICY_FILE": "/etc/sealwright/policy.yaml",
        "SEALWRIGHT_DATABASE_URL": "postgresql://…",
    }
    assert base_environment(env) == {"PATH": "/bin", "SEALWRIGHT_DATABASE_URL": "postgresql://…"}


@pytest.mark.parametrize("bind", ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "localhost:80"])
def test_loopback_addresses_are_accepted(bind: str) -> None:
    assert base_environment({"SEALWRIGHT_BIND": bind}) == {}


@pytest.mark.parametrize("bind", ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", ":80", "example.com:80"])
def test_every_other_address_is_refused(bind: str) -> None:
    with pytest.raises(SetupError, match="loopback"):
        base_environment({"SEALWRIGHT_BIND": bind})


def test_the_leash_becomes_its_command(tmp_path: Path) -> None:
    done = subprocess.run(
        leashed([sys.executable, "-c", "import os; print(os.getpid()); raise SystemExit(7)"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7
    assert done.stdout.strip().isdecimal()


def test_a_leash_whose_parent_is_gone_runs_nothing() -> None:
    command = leashed(["echo", "ran"])
    parent = command.index(str(os.getpid()))
    command[parent] = "1"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ran" not in done.stdout


def test_a_private_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_private(tmp_path / "file", "first")
    write_private(tmp_path / "file", "second")
    assert (tmp_path / "file").read_text() == "second"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_state_directory_has_one_owner(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        with (
            State(tmp_path / "s").owned(),
            pytest.raises(SetupError, match="another"),
            State(tmp_path / "s").owned(),
        ):
            pass
        with State(tmp_path / "s").owned():
            pass
    finally:
        os.umask(umask)


# --- the admin of a development database ---


@pytest.fixture
def book(tmp_path: Path) -> Iterator[CredentialBook]:
    url = f"sqlite:///{tmp_path / 'sealwright.db'}"
    upgrade(url)
    store = Store(url)
    yield store.credentials
    store.close()


def test_an_admin_is_kept_while_its_token_works_and_another_is_made_beside_it(
    book: CredentialBook,
) -> None:
    clock = SystemClock()
    first = admin_token(book, clock, None)
    assert admin_token(book, clock, first) == first
    second = admin_token(book, clock, None)
    assert second != first
    for token in (first, second):
        held = book.by_token_hash(hash_token(token))
        assert held is not None
        assert (held.caller.role, held.caller.person) == (Role.ADMIN, PERSON)


def test_a_database_that_was_begun_by_somebody_else_is_left_alone(book: CredentialBook) -> None:
    clock = SystemClock()
    make_first_admin(book, clock, name="root", person="Ada")
    with pytest.raises(ConfigurationError, match="not begun by"):
        admin_token(book, clock, None)
    with pytest.raises(ConfigurationError, match="not begun by"):
        custodian_token(book, clock, "custodian", None)


def test_custodians_are_kept_while_their_tokens_work_and_each_directory_has_its_own(
    book: CredentialBook,
) -> None:
    clock = SystemClock()
    admin_token(book, clock, None)
    first = {name: custodian_token(book, clock, name, None) for name in CUSTODIANS}
    for name, token in first.items():
        assert custodian_token(book, clock, name, token) == token
        assert custodian_token(book, clock, name, None) != token
    people = {held.caller.person for held in book.custodians()}
    assert (len(book.custodians()), len(people)) == (4, 2)
    book.revoke("custodian", actor="admin")
    assert custodian_token(book, clock, "custodian", first["custodian"]) != first["custodian"]
