"""SoftHSM's files: found by its configuration, and copied only while they stand still."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError, HSMUnavailableError
from service.keyring import copy_tokens, is_softhsm, token_directory, write_conf
from tests.support.softhsm import MODULES, SoftHSM


def content(directory: Path) -> dict[str, bytes]:
    return {str(f.relative_to(directory)): f.read_bytes() for f in directory.glob("*/*")}


def test_a_token_is_copied_as_it_is_and_for_its_owner_alone(
    new_softhsm: Callable[[], SoftHSM], tmp_path: Path
) -> None:
    made = new_softhsm()
    made.token("copied")
    copy_tokens(made.tokens_directory, tmp_path / "copy")
    assert content(tmp_path / "copy") == content(made.tokens_directory) != {}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "copy").rglob("*")}
    assert modes == {0o700, 0o600}


def test_a_copy_counts_only_when_a_second_look_finds_the_same(
    new_softhsm: Callable[[], SoftHSM], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, copy = new_softhsm(), tmp_path / "copy"
    made.token("busy")
    (one,) = made.tokens_directory.glob("*/generation")
    read, left = Path.read_bytes, 0

    def changing(path: Path) -> bytes:
        """Read a file; the token is changed right after that, so often."""
        nonlocal left
        content = read(path)
        if left and path == one:
            left -= 1
            one.write_bytes(left.to_bytes(8, "big"))
        return content

    monkeypatch.setattr(Path, "read_bytes", changing)
    monkeypatch.setattr("service.keyring.softhsm._PAUSE_SECONDS", 0)
    left = 100_000
    with pytest.raises(HSMUnavailableError, match="changes all the time"):
        copy_tokens(made.tokens_directory, copy)
    assert list(copy.iterdir()) == []
    left = 9
    copy_tokens(made.tokens_directory, copy)
    assert (left, one.read_bytes()) == (0, bytes(8))
    assert content(copy) == content(made.tokens_directory)


def test_a_directory_that_is_not_there_is_not_an_empty_token(tmp_path: Path) -> None:
    with pytest.raises(HSMUnavailableError, match="no token in"):
        copy_tokens(tmp_path / "none", tmp_path / "copy")


def test_the_configuration_says_where_tokens_lie(tmp_path: Path) -> None:
    conf = tmp_path / "softhsm2.conf"
    write_conf(conf, tmp_path / "somewhere")
    assert token_directory(conf) == tmp_path / "somewhere"
    conf.write_text("# directories.tokendir = /not/here\nlog.level = ERROR\n")
    assert token_directory(conf) == Path("/var/lib/softhsm/tokens/")
    conf.write_text("  directories.tokendir=/with/no blanks  \n")
    assert token_directory(conf) == Path("/with/no blanks")
    conf.write_text("objectstore.backend = db\n")
    with pytest.raises(ConfigurationError, match="backend"):
        token_directory(conf)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        token_directory(tmp_path / "none")


def test_softhsm_is_known_by_the_name_of_its_module() -> None:
    assert all(map(is_softhsm, MODULES))
    assert not is_softhsm(Path("/usr/lib/pkcs11/p11-kit-client.so"))
