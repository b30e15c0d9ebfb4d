"""Settings: read once, every fault at once, secrets never shown."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.bootstrap.policy_file import CHECK_EVERY_SECONDS, PolicyFile, read_policy
from service.bootstrap.secrets import own_secret
from service.bootstrap.settings import Settings
from service.domain.clock import SystemClock
from service.domain.errors import ConfigurationError
from service.domain.serving import ServerRole

GOOD = {
    "SEALWRIGHT_PKCS11_MODULE": "/usr/lib/softhsm/libsofthsm2.so",
    "SEALWRIGHT_TOKEN_LABEL": "release",
    "SEALWRIGHT_PIN_FILE": "/run/secrets/pin",
}


def test_good_settings_are_read_and_the_rest_has_defaults() -> None:
    settings = Settings.read(GOOD)
    [token] = settings.tokens
    assert (token.label, token.name) == ("release", "release")
    assert settings.database_url.startswith("sqlite:///")


def test_every_fault_is_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.read({"SEALWRIGHT_WORKERS": "many", "SEALWRIGHT_BIND": "x"})
    told = "; ".join(caught.value.faults)
    for name in (*GOOD, "SEALWRIGHT_WORKERS", "SEALWRIGHT_BIND"):
        assert name in told


def test_a_database_url_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:hidden@/db\n")
    settings = Settings.read({**GOOD, "SEALWRIGHT_DATABASE_URL_FILE": str(file)})
    assert settings.database_url == "postgresql://u:hidden@/db"
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize("bind", ["127.0.0.1:80", "[::1]:8080", "localhost:1", "fd://3"])
def test_addresses_and_descriptors_can_be_bound(bind: str) -> None:
    assert Settings.read({**GOOD, "SEALWRIGHT_BIND": bind}).bind == bind


@pytest.mark.parametrize("bind", ["127.0.0.1", "fd://x", "xfd://3", "host:80", "127.0.0.1:70000"])
def test_what_cannot_be_bound_is_a_fault(bind: str) -> None:
    with pytest.raises(ConfigurationError, match="SEALWRIGHT_BIND"):
        Settings.read({**GOOD, "SEALWRIGHT_BIND": bind})


def test_proxies_are_addresses_and_networks_and_nothing_else() -> None:
    assert Settings.read(GOOD).trusted_proxies == ()
    told = {**GOOD, "SEALWRIGHT_TRUSTED_PROXIES": "10.0.3.0/24, 10.0.9.7,2001:db8::/48"}
    shown = [str(network) for network in Settings.read(told).trusted_proxies]
    assert shown == ["10.0.3.0/24", "10.0.9.7/32", "2001:db8::/48"]
    for wrong in ("*", "proxy.example.com", "10.0.3.1/24", "10.0.3.0/24 10.0.9.7"):
        with pytest.raises(ConfigurationError, match="SEALWRIGHT_TRUSTED_PROXIES"):
            Settings.read({**GOOD, "SEALWRIGHT_TRUSTED_PROXIES": wrong})


def test_a_process_has_every_role_unless_some_are_named() -> None:
    assert Settings.read(GOOD).roles == frozenset(ServerRole)
    named = Settings.read({**GOOD, "SEALWRIGHT_ROLES": "sign, worker"})
    assert named.roles == {ServerRole.SIGN, ServerRole.WORKER}


@pytest.mark.parametrize("roles", ["tea", "sign,", "sign;verify", "SIGN"])
def test_a_role_that_does_not_exist_is_a_fault(roles: str) -> None:
    with pytest.raises(ConfigurationError, match="sign, verify, manage, worker"):
        Settings.read({**GOOD, "SEALWRIGHT_ROLES": roles})


def test_whoever_only_verifies_needs_no_token_and_is_given_none() -> None:
    assert Settings.read({"SEALWRIGHT_ROLES": "verify"}).tokens == ()
    assert Settings.read({**GOOD, "SEALWRIGHT_ROLES": "verify"}).tokens == ()
    for role in ("sign", "manage", "worker", "verify,sign"):
        assert len(Settings.read({**GOOD, "SEALWRIGHT_ROLES": role}).tokens) == 1
        with pytest.raises(ConfigurationError, match="SEALWRIGHT_PIN_FILE is not set"):
            Settings.read({"SEALWRIGHT_ROLES": role})


def test_processes_that_race_for_a_new_secret_read_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "latch.secret"
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(own_secret, [path] * 8))
    assert len(secrets) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="fewer than"):
        own_secret(tmp_path / "s")


class HandClock(SystemClock):
    """A clock whose monotonic hand is turned by the test."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("signing: {allow_tags: false}\nsigning: {allow_tags: true}", "signing stands there twice"),
        ("signing:\n  allow_tags: false\n  allow_tags: true", "line 3, column 3"),
        ("trust: {keys: [{name: a, name: b}]}", "name stands there twice"),
        ("signing: {allow_tag: true}", "signing has an unknown field 'allow_tag'"),
        ("sining: {}", "the policy file has an unknown field 'sining'"),
        ("signing: !!python/object/apply:os.getcwd []", "not YAML"),
        ("[" * 100_000, "not YAML"),
    ],
)
def test_a_policy_file_is_read_as_strictly_as_the_others(
    tmp_path: Path, text: str, fault: str
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("signing: {allow_tags: true}")
    assert read_policy(path).signing.allow_tags
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_policy(path)
    assert fault in "; ".join(caught.value.faults)


def test_a_changed_policy_file_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("signing: {allow_tags: true}")
    clock = HandClock()
    policy = PolicyFile(path, clock)
    assert policy().signing.allow_tags
    path.write_text("signing: {allow_tags: false, must_exist: true}")
    clock.seconds += CHECK_EVERY_SECONDS
    assert policy().signing.must_exist
    assert not policy().signing.allow_tags
    path.write_text("signing: [")
    clock.seconds += CHECK_EVERY_SECONDS
    assert policy().signing.must_exist
    with pytest.raises(ConfigurationError):
        PolicyFile(path, clock)
