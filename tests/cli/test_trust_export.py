"""`sealwright trust export`: what it writes, what it takes away, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest

from service.cli.exits import Exit
from service.cli.trust_directory import MARK, write
from service.domain.clock import SystemClock
from service.domain.keys import Algorithm, Key, Purpose
from service.formats.trustfiles import readme
from tests.cli.conftest import Shell
from tests.support.edge import Listening

README = MARK + b"\n"


@pytest.fixture
def logged(listening: Listening) -> Listening:
    """A service with a log key, which signs the list of withdrawals."""
    world = listening.world
    key = Key("log", Purpose.LOG, Algorithm.EC_P256, SystemClock().now())
    made = world.maker.generate("log", Algorithm.EC_P256, None)
    world.catalog.create(key, made, actor="test")
    return listening


def names(directory: Path) -> set[str]:
    return {p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file()}


def test_an_export_needs_no_credential_and_anybody_may_read_it(
    shell: Shell, logged: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEALWRIGHT_URL")
    place = tmp_path / "deep" / "trust"
    done = shell("trust", "export", "--url", logged.url, str(place), role=None)
    assert done.code == Exit.DONE, done.err
    assert "README.md there has the command" in done.out
    assert {"README.md", "cosign.pub", "cosign-v1.pub", "kyverno.yaml"} <= names(place)
    assert {p.stat().st_mode & 0o777 for p in place.rglob("*") if p.is_file()} == {0o644}
    assert logged.url in (place / "containers/registries.d/sealwright.yaml").read_text()


def test_exporting_again_takes_away_what_is_no_longer_trusted(
    shell: Shell, logged: Listening, tmp_path: Path
) -> None:
    place = tmp_path / "trust"
    assert shell("trust", "export", str(place)).code == Exit.DONE
    (place / "containers" / (".new-" + "0" * 16)).write_bytes(b"left over by a crash")
    assert (place / "containers").exists()
    catalog = logged.world.catalog
    key = catalog.keys["release"]
    stolen = replace(key.versions[0], ever_compromised=True)
    catalog.keys["release"] = replace(key, versions=(stolen,))
    assert shell("trust", "export", str(place)).code == Exit.DONE
    assert "cosign-v1.pub" not in names(place)
    assert not (place / "containers").exists()


def test_an_unknown_key_is_told_and_nothing_is_written(
    shell: Shell, logged: Listening, tmp_path: Path
) -> None:
    done = shell("trust", "export", "--key", "nobody", str(tmp_path / "trust"))
    assert done.code == Exit.USAGE
    assert "key-not-found" in done.err
    assert not (tmp_path / "trust").exists()


def test_an_empty_directory_is_filled_and_a_foreign_one_left_alone(tmp_path: Path) -> None:
    write(tmp_path, {"README.md": README})
    assert names(tmp_path) == {"README.md"}
    for name, content in (("README.md", b"# Mine\n"), ("cosign.pub", b"mine")):
        foreign = tmp_path.with_name(f"{tmp_path.name}-{name}")
        foreign.mkdir()
        (foreign / name).write_bytes(content)
        with pytest.raises(click.ClickException, match="no export of ours"):
            write(foreign, {"README.md": README, "cosign.pub": b"ours"})
        assert (foreign / name).read_bytes() == content
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(click.ClickException, match=r"notes\.txt"):
        write(tmp_path, {"README.md": README})
    with pytest.raises(click.ClickException, match="not a directory"):
        write(tmp_path / "notes.txt", {"README.md": README})


def test_nothing_is_written_through_a_symbolic_link(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "trust", tmp_path / "elsewhere"
    write(place, {"README.md": README})
    elsewhere.mkdir()
    (place / "containers").symlink_to(elsewhere)
    with pytest.raises(click.ClickException, match="containers"):
        write(place, {"README.md": README, "containers/policy.json": b"{}"})
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("path", ["../x", "/etc/x", "keys/../cosign.pub", "x", "cosign.pub/x", ""])
def test_a_service_cannot_have_anything_else_written(tmp_path: Path, path: str) -> None:
    with pytest.raises(click.ClickException, match="another layout"):
        write(tmp_path / "trust", {"README.md": README, path: b""})
    assert not (tmp_path / "trust").exists()


def test_what_cannot_be_written_is_told_and_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "cosign.pub").mkdir()
    with pytest.raises(click.ClickException, match="cannot be written"):
        write(tmp_path, {"README.md": README, "cosign.pub": b""})
    assert names(tmp_path) == {"README.md"}


def test_the_mark_is_the_one_that_the_service_writes() -> None:
    assert f"{readme.MARK}\n".encode() == MARK
