"""Logins from files, docker's config.json and credential helpers."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from service.domain.errors import RegistryUnavailableError
from service.registry.config import RegistryConfig
from service.registry.credentials import IdentityToken, Password, login_for

AUTH = base64.b64encode(b"user:pass:word").decode()


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on the PATH where tests put credential helpers."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return directory


def helper(directory: Path, name: str, script: str) -> None:
    path = directory / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def config(host: str = "r.example", **fields: object) -> RegistryConfig:
    return RegistryConfig(host, host, host, **fields)  # type: ignore[arg-type]


def docker_config(directory: Path, **members: object) -> RegistryConfig:
    return docker_config_of("r.example", directory, **members)


def docker_config_of(host: str, directory: Path, **members: object) -> RegistryConfig:
    path = directory / "config.json"
    path.write_text(json.dumps(members))
    return config(host, docker_config=path)


def test_without_a_source_we_stay_anonymous() -> None:
    assert login_for(config()) is None


def test_files_are_read_without_their_last_newline_and_again_each_time(tmp_path: Path) -> None:
    user, secret = tmp_path / "user", tmp_path / "secret"
    user.write_text("u\n")
    secret.write_text(" p \r\n")
    entry = config(username_file=user, password_file=secret)
    assert login_for(entry) == Password("u", " p ")
    secret.write_text("turned")
    assert login_for(entry) == Password("u", "turned")
    secret.unlink()
    with pytest.raises(RegistryUnavailableError):
        login_for(entry)


@pytest.mark.parametrize("name", ["r.example", "https://r.example", "https://r.example/v2/"])
def test_docker_config_auths_are_found_by_the_names_docker_login_writes(
    tmp_path: Path, name: str
) -> None:
    entry = docker_config(tmp_path, auths={name: {"auth": AUTH}, "other.example": {}})
    assert login_for(entry) == Password("user", "pass:word")


def test_docker_hub_is_found_by_its_historic_name(tmp_path: Path) -> None:
    auths = {"https://index.docker.io/v1/": {"auth": AUTH}}
    assert login_for(docker_config_of("docker.io", tmp_path, auths=auths)) is not None


def test_docker_config_may_hold_an_identity_token_a_plain_login_or_nothing(tmp_path: Path) -> None:
    token = {"r.example": {"auth": AUTH, "identitytoken": "t"}}
    assert login_for(docker_config(tmp_path, auths=token)) == IdentityToken("t")
    plain = {"r.example": {"username": "u", "password": "p"}}
    assert login_for(docker_config(tmp_path, auths=plain)) == Password("u", "p")
    assert login_for(docker_config(tmp_path, auths={"r.example": {}})) is None
    assert login_for(docker_config(tmp_path, auths={"other.example": {"auth": AUTH}})) is None
    assert login_for(docker_config(tmp_path)) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a-list"),
        pytest.param('{"auths": []}', id="auths-is-a-list-with-nothing"),
        pytest.param('{"auths": {"r.example": {"auth": "!"}}}', id="not-base64"),
        pytest.param('{"auths": {"r.example": {"auth": "YQ=="}}}', id="no-colon"),
        pytest.param('{"auths": {"r.example": 7}}', id="a-number"),
        pytest.param('{"credHelpers": {"r.example": "../evil"}}', id="helper-is-a-path"),
        pytest.param('{"credsStore": 7}', id="store-is-a-number"),
    ],
)
def test_a_docker_config_that_cannot_be_used_is_no_anonymous_login(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    if text == '{"auths": []}':  # docker's own reader takes an empty list for nothing, too
        assert login_for(config(docker_config=path)) is None
        return
    with pytest.raises(RegistryUnavailableError):
        login_for(config(docker_config=path))


def test_a_helper_gets_the_server_on_stdin_and_nothing_in_its_arguments(
    helpers: Path, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    helper(
        helpers,
        "good",
        f'echo "$*" >{said}; cat >>{said}; echo \'{{"ServerURL":"x","Username":"u","Secret":"p"}}\'',
    )
    assert login_for(config(credential_helper="good")) == Password("u", "p")
    assert said.read_text() == "get\nr.example"


def test_helpers_win_over_the_store_and_the_store_over_auths(helpers: Path, tmp_path: Path) -> None:
    for name in ("one", "store"):
        helper(helpers, name, f'echo \'{{"Username":"<token>","Secret":"{name}"}}\'')
    members = {"credsStore": "store", "auths": {"r.example": {"auth": AUTH}}}
    assert login_for(docker_config(tmp_path, **members)) == IdentityToken("store")
    members["credHelpers"] = {"r.example": "one"}
    assert login_for(docker_config(tmp_path, **members)) == IdentityToken("one")


def test_a_helper_that_has_no_login_means_anonymous(helpers: Path) -> None:
    helper(helpers, "none", "echo 'credentials not found in native keychain'; exit 1")
    assert login_for(config(credential_helper="none")) is None


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo locked; exit 1", id="fails"),
        pytest.param("echo nonsense", id="nonsense"),
        pytest.param("echo '[]'", id="a-list"),
        pytest.param('echo \'{"Username":"u"}\'', id="half-a-login"),
    ],
)
def test_a_helper_that_fails_is_no_anonymous_login(helpers: Path, script: str) -> None:
    helper(helpers, "bad", script)
    with pytest.raises(RegistryUnavailableError):
        login_for(config(credential_helper="bad"))


def test_a_helper_that_hangs_is_given_up(helpers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.registry.credentials.HELPER_SECONDS", 0.05)
    helper(helpers, "slow", "exec sleep 60")
    with pytest.raises(RegistryUnavailableError):
        login_for(config(credential_helper="slow"))


def test_a_missing_helper_is_no_anonymous_login() -> None:
    with pytest.raises(RegistryUnavailableError):
        login_for(config(credential_helper="there-is-no-such-helper"))


def test_secrets_are_not_in_a_repr() -> None:
    assert "geheim" not in repr(Password("u", "geheim")) + repr(IdentityToken("geheim"))
