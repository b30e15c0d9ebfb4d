"""softhsm-setup.sh and scripts/system-packages, run as a newcomer runs them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The scripts beside an environment that is this very interpreter's."""
    (tmp_path / "scripts").mkdir()
    for name in ("softhsm-setup.sh", "scripts/system-packages", "scripts/find-python"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    return tmp_path


def run(
    *command: str | Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def settings(file: Path) -> dict[str, str]:
    """Return what a shell that reads the file gets."""
    # From nothing: whoever runs the tests may have settings of the same names.
    done = subprocess.run(
        ["env", "-i", "sh", "-c", f"set -a; . {file}; env"],
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    return {
        name: value for name, _, value in pairs if name.startswith(("SEALWRIGHT_", "SOFTHSM2_"))
    }


def test_the_token_is_made_once_and_the_second_run_changes_nothing(tree: Path) -> None:
    first = run(tree / "softhsm-setup.sh", tree / "state")
    assert first.returncode == 0, first.stderr
    made = settings(tree / "state" / "token.env")
    pins = [(tree / "state" / name).read_text() for name in ("user.pin", "so.pin")]
    assert len(set(pins)) == 2
    for name in ("user.pin", "so.pin", "token.env"):
        assert stat.S_IMODE((tree / "state" / name).stat().st_mode) == 0o600
    second = run(tree / "softhsm-setup.sh", tree / "state")
    assert second.returncode == 0, second.stderr
    assert settings(tree / "state" / "token.env") == made
    assert [(tree / "state" / name).read_text() for name in ("user.pin", "so.pin")] == pins
    for pin in pins:
        assert pin not in first.stdout + first.stderr + second.stdout + second.stderr


def test_no_pin_stands_in_an_argument_list(tree: Path) -> None:
    # Every command with its arguments, those of the first and of a later run.
    runs = [run("sh", "-x", tree / "softhsm-setup.sh", tree / "state") for _ in range(2)]
    for each in runs:
        assert each.returncode == 0, each.stderr
        assert "service.keyring.provision --module" in each.stderr
        for name in ("user.pin", "so.pin"):
            file = tree / "state" / name
            assert str(file) in each.stderr
            assert file.read_text() not in each.stderr


def test_the_token_that_was_made_is_the_one_that_the_settings_name(tree: Path) -> None:
    assert run(tree / "softhsm-setup.sh", tree / "state").returncode == 0
    env = settings(tree / "state" / "token.env")
    slots = run("softhsm2-util", "--show-slots", env=env).stdout
    assert env["SEALWRIGHT_TOKEN_SERIAL"] in slots
    assert env["SEALWRIGHT_TOKEN_LABEL"] in slots
    assert set(env) == {
        "SOFTHSM2_CONF",
        "SEALWRIGHT_PKCS11_MODULE",
        "SEALWRIGHT_TOKEN_LABEL",
        "SEALWRIGHT_TOKEN_SERIAL",
        "SEALWRIGHT_PIN_FILE",
    }


def test_nothing_is_said_or_done_where_no_package_is_missing() -> None:
    done = run(ROOT / "scripts" / "system-packages", "run", "test")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_group_that_does_not_exist_is_an_error() -> None:
    done = run(ROOT / "scripts" / "system-packages", "no-such-group")
    assert done.returncode == 2


def test_who_may_not_install_is_told_the_exact_command(tmp_path: Path) -> None:
    """A PATH with nothing but a package manager, and a user who is nobody special."""
    for name, text in {
        "apt-get": "#!/bin/sh\nexit 1\n",
        "id": "#!/bin/sh\necho 1000\n",
        "python-without-venv": "#!/bin/sh\nexit 1\n",
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    script = (ROOT / "scripts" / "system-packages").read_text()
    # The script adds the system's directories, where the real sudo is.
    copy = tmp_path / "system-packages"
    copy.write_text(script.replace('PATH="$PATH:/usr/sbin:/sbin:/usr/local/bin"', ""))
    done = run(
        "/bin/sh", copy, "python", env={"PATH": str(tmp_path), "PYTHON": "python-without-venv"}
    )
    assert done.returncode == 1
    assert "apt-get install -y --no-install-recommends python3-venv" in done.stderr


def test_a_python_that_is_too_old_is_not_taken(tmp_path: Path) -> None:
    for name in ("python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    script = ROOT / "scripts" / "find-python"
    old = run("/bin/sh", script, env={"PATH": str(tmp_path)})
    assert old.returncode == 1
    assert "3.11" in old.stderr
    new = run("/bin/sh", script, env={"PATH": str(tmp_path), "PYTHON": sys.executable})
    assert new.stdout.strip() == sys.executable


@pytest.mark.parametrize(
    "script",
    ["softhsm-setup.sh", "scripts/system-packages", "scripts/find-python", "scripts/image",
     "scripts/install-clients"],
)  # fmt: skip
def test_a_script_is_plain_shell_that_stops_at_an_error(script: str) -> None:
    text = (ROOT / script).read_text()
    assert text.startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in text
    assert os.access(ROOT / script, os.X_OK)
    assert run("sh", "-n", ROOT / script).returncode == 0
