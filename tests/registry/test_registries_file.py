"""The registries file: read whole, every fault at once, read again when it changes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import yaml

from service.domain.errors import ConfigurationError, RegistryNotConfiguredError
from service.domain.references import Repository
from service.registry import RegistryBook, RegistryConfig, load_registries, parse_registries
from tests.support.oci import client_for, entry, registries_file


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_registries(text.encode())
    return list(caught.value.faults)


def test_a_full_entry_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    [config] = parse_registries(
        f"""
        registries:
          - host: registry.example.com
            address: 10.0.0.1:5000
            http: false
            ca_file: {secret}
            public_name: images.example.com
            username_file: {secret}
            password_file: {secret}
            redirect_hosts: [Storage.example.com]
            token_hosts: ["auth.example.com:8443"]
            limits: {{timeout_seconds: 2.5, max_connections: 4, max_manifest_bytes: 1048576}}
        """.encode()
    )
    assert (config.host, config.address) == ("registry.example.com", "10.0.0.1:5000")
    assert config.public_name == "images.example.com"
    assert config.ca_file == config.password_file == config.username_file == secret
    assert config.redirect_hosts == {"storage.example.com"}
    assert config.token_hosts == {"auth.example.com:8443"}
    assert config.limits.timeout_seconds == 2.5
    assert (config.limits.max_connections, config.limits.max_manifest_bytes) == (4, 1048576)


def test_an_entry_needs_no_more_than_a_host() -> None:
    [config] = parse_registries(b"registries: [{host: registry.example.com}]")
    assert config == RegistryConfig(
        "registry.example.com", "registry.example.com", "registry.example.com"
    )
    assert not config.http


def test_there_may_be_no_registries() -> None:
    assert parse_registries(b"registries: []") == ()


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    faults = faults_of(
        f"""
        registries:
          - http: "yes"
          - host: "https://r.example/"
            adress: x
            limits: {{timeout_seconds: 0, max_connections: true, retries: 3}}
          - host: r.example
            http: true
            ca_file: {tmp_path}/missing
            username_file: "${{HOME}}/user"
            password_file: {tmp_path}
            docker_config: 7
            credential_helper: ../evil
            redirect_hosts: [ok.example, "not a host"]
            token_hosts: ok.example
            limits: 3
          - not a mapping
          - host: R.example
        """
    )
    expected = [
        "registries[0].host: missing",
        "registries[0].http: neither true nor false",
        "registries[1].adress: no such field",
        "registries[1].host: not a host with an optional port: 'https://r.example/'",
        "registries[1].limits.timeout_seconds: not between 0.1 and 300",
        "registries[1].limits.max_connections: not a number of the right kind",
        "registries[1].limits.retries: no such field",
        f"registries[2].ca_file: {tmp_path}/missing cannot be read: No such file or directory",
        "registries[2].username_file: variables are not expanded here; name the value or a file",
        f"registries[2].password_file: {tmp_path} cannot be read: Is a directory",
        "registries[2].docker_config: not a text; put it in quotes",
        "registries[2].credential_helper: not the NAME of a docker-credential-NAME",
        "registries[2].redirect_hosts: not a list of hosts with optional ports",
        "registries[2].token_hosts: not a list of hosts with optional ports",
        "registries[2].limits: not a mapping",
        (
            "registries[2]: more than one source of credentials"
            " (password_file, docker_config, credential_helper)"
        ),
        "registries[3]: not a mapping",
        "registries[4]: r.example names registries[2] too",
    ]
    assert set(faults) == set(expected)


def test_a_half_login_and_certificates_for_plain_http_are_faults(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("x")
    faults = faults_of(
        f"registries: [{{host: r.example, http: true, ca_file: {there}, password_file: {there}}}]"
    )
    assert faults == [
        "registries[0].ca_file: plain HTTP has no certificates",
        "registries[0].username_file: goes together with password_file",
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("registries: [", id="broken"),
        pytest.param("registries: {}", id="a-mapping"),
        pytest.param("registry: []", id="other-name"),
        pytest.param("registries: []\nmore: 1", id="unknown-on-top"),
        pytest.param("registries: [{host: a.example, host: b.example}]", id="field-twice"),
        pytest.param("registries: !!python/object/apply:os.getpid []", id="python-object"),
        pytest.param("registries: " + "[" * 5000 + "]" * 5000, id="deep"),
        pytest.param("registries: [\x00]", id="control-character"),
    ],
)
def test_what_is_no_registries_file_is_refused(text: str) -> None:
    assert faults_of(text)


def test_a_missing_or_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_registries(tmp_path / "missing")
    huge = tmp_path / "huge"
    huge.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationError, match="more than"):
        load_registries(huge)


def test_a_registry_is_found_by_both_its_names_in_any_case(tmp_path: Path) -> None:
    client = client_for(tmp_path, entry("10.0.0.1:5000", public_name="registry.example.com"))
    public = Repository("registry.example.com", "a")
    for host in ("10.0.0.1:5000", "registry.example.com", "Registry.Example.com"):
        assert client.public_repository(Repository(host, "a")) == public
    for host in ("10.0.0.1", "example.com", "registry.example.com:443"):
        with pytest.raises(RegistryNotConfiguredError):
            client.public_repository(Repository(host, "a"))


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    book = RegistryBook(registries_file(tmp_path, entry("a.example")))
    assert [config.host for config in book.all()] == ["a.example"]
    registries_file(tmp_path, entry("b.example"))
    assert book.lookup("b.example").host == "b.example"
    with pytest.raises(RegistryNotConfiguredError):
        book.lookup("a.example")
    renamed = tmp_path / "new"
    renamed.write_text(yaml.safe_dump({"registries": [entry("c.example")]}))
    renamed.replace(tmp_path / "registries.yaml")
    assert book.lookup("c.example").host == "c.example"


def test_a_broken_or_missing_file_leaves_the_one_before_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = registries_file(tmp_path, entry("a.example"))
    book = RegistryBook(path)
    with caplog.at_level(logging.ERROR):
        path.write_text("registries: [{hots: b.example}]")
        for _ in range(3):
            assert book.lookup("a.example").host == "a.example"
        assert len(caplog.records) == 1  # said once, not at each look-up
        path.unlink()
        assert book.lookup("a.example").host == "a.example"
        assert len(caplog.records) == 2
    registries_file(tmp_path, entry("b.example"))
    assert book.lookup("b.example").host == "b.example"


def test_an_unreadable_file_is_a_fault_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError):
        RegistryBook(tmp_path / "link")
