from __future__ import annotations

from pathlib import Path

import pytest

from service.client import ClientSettings, SettingsError

TOKEN = "sw_" + "a" * 52


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://sign.example.com", ("sign.example.com", 443, True, "")),
        (
            "https://sign.example.com:8443/sealwright/",
            ("sign.example.com", 8443, True, "/sealwright"),
        ),
        ("http://127.0.0.1:8750", ("127.0.0.1", 8750, False, "")),
        ("http://127.9.9.9", ("127.9.9.9", 80, False, "")),
        ("http://localhost:1", ("localhost", 1, False, "")),
        ("http://[::1]:8750", ("::1", 8750, False, "")),
    ],
)
def test_a_url_names_the_service(url: str, place: tuple[str, int, bool, str]) -> None:
    settings = ClientSettings.read({"SEALWRIGHT_URL": url})
    assert (settings.host, settings.port, settings.tls, settings.path) == place


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="not-set"),
        pytest.param("sign.example.com", id="no-scheme"),
        pytest.param("ftp://sign.example.com", id="other-scheme"),
        pytest.param("https://", id="no-host"),
        pytest.param("https://host:port", id="port-is-no-number"),
        pytest.param("https://user:pw@host", id="credentials"),
        pytest.param("https://host/?a=b", id="query"),
        pytest.param("http://sign.example.com", id="plain-http"),
        pytest.param("http://127.0.0.1.example.com", id="looks-like-loopback"),
        pytest.param("http://localhost.example.com", id="looks-like-localhost"),
        pytest.param("http://[::ffff:10.0.0.1]", id="mapped-address"),
    ],
)
def test_a_url_that_cannot_be_used_or_would_show_the_token_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="SEALWRIGHT_URL"):
        ClientSettings.read({"SEALWRIGHT_URL": url})


def test_plain_http_to_another_machine_needs_to_be_asked_for() -> None:
    env = {"SEALWRIGHT_URL": "http://sign.internal", "SEALWRIGHT_ALLOW_PLAIN_HTTP": "1"}
    assert not ClientSettings.read(env).tls


@pytest.mark.parametrize("content", [TOKEN, f"{TOKEN}\n"])
def test_the_token_is_read_from_its_file_and_not_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    env = {"SEALWRIGHT_URL": "https://host", "SEALWRIGHT_TOKEN_FILE": str(file)}
    settings = ClientSettings.read(env)
    assert settings.token == TOKEN
    assert TOKEN not in repr(settings)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    env = {"SEALWRIGHT_TOKEN_FILE": str(empty), "SEALWRIGHT_TIMEOUT": "soon"}
    with pytest.raises(SettingsError) as refused:
        ClientSettings.read(env)
    assert len(refused.value.faults) == 3


@pytest.mark.parametrize("content", [b"", b"a b", b"\xff", b"x" * 5000, b"a\r\nX-Evil: 1"])
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    for path in (file, tmp_path / "none", tmp_path):
        env = {"SEALWRIGHT_URL": "https://host", "SEALWRIGHT_TOKEN_FILE": str(path)}
        with pytest.raises(SettingsError, match="SEALWRIGHT_TOKEN_FILE"):
            ClientSettings.read(env)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "3601", "x"])
def test_a_time_out_has_bounds(text: str) -> None:
    env = {"SEALWRIGHT_URL": "https://host", "SEALWRIGHT_TIMEOUT": text}
    with pytest.raises(SettingsError, match="SEALWRIGHT_TIMEOUT"):
        ClientSettings.read(env)
    assert ClientSettings.read({**env, "SEALWRIGHT_TIMEOUT": "2.5"}).timeout == 2.5
