from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from service.cli import main as main_module
from service.cli.exits import Exit
from service.cli.failures import describe, report
from service.cli.lazy import LazyCommand
from service.cli.main import run
from service.cli.types import parse_duration
from service.client import UnexpectedAnswerError
from service.domain.errors import ConfigurationError, StoreUnavailableError

Shell = Callable[..., Any]


def test_a_service_that_is_away_ends_in_four(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("SEALWRIGHT_URL", url)
    ended = shell("keys", "list")
    assert ended.code == 4
    what, why, cure = ended.err.splitlines()
    assert what == "error: the service does not answer"
    assert "cannot be reached" in why
    assert "SEALWRIGHT_URL" in cure


def test_missing_settings_end_in_two_and_name_each_one(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEALWRIGHT_URL")
    ended = shell("keys", "list")
    assert ended.code == 2
    assert "SEALWRIGHT_URL is not set" in ended.err


def test_local_errors_tell_their_cure_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ConfigurationError("A is not set", "B is not set")) is Exit.USAGE
    shown = capsys.readouterr().err
    assert "A is not set; B is not set" in shown
    assert ConfigurationError.cure in shown
    assert describe(StoreUnavailableError()).exit is Exit.UNAVAILABLE
    assert describe(UnexpectedAnswerError("html")).exit is Exit.UNAVAILABLE


def explode() -> None:
    raise ZeroDivisionError("unforeseen")


def test_a_bug_ends_in_five_and_shows_where_only_if_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(LazyCommand):
        def load(self) -> None:  # type: ignore[override]
            explode()

    broken = {"broken": Broken("nowhere:nothing", "Breaks.")}
    monkeypatch.setattr(main_module.cli, "_lazy", broken)
    monkeypatch.delenv("SEALWRIGHT_DEBUG", raising=False)
    assert run(["broken"]) == 5
    quiet = capsys.readouterr().err
    assert "ZeroDivisionError: unforeseen" in quiet
    assert "Traceback" not in quiet
    monkeypatch.setenv("SEALWRIGHT_DEBUG", "1")
    assert run(["broken"]) == 5
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("90d", 7776000)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "1.5s", "5 s", "5S", "٣s", "1h30m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)
