"""Logins at real and scripted registries: Basic, tokens, TLS, and where secrets may go."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Digest
from service.domain.errors import RegistryDeniedError, RegistryUnavailableError
from service.domain.references import Repository
from service.registry.auth import parse_challenges
from tests.support.oci import TurnedClock, client_for, entry
from tests.support.registry import OCI_MANIFEST, StartRegistry
from tests.support.scripted_http import Received, Scripted, ScriptedServer

USER, PASSWORD = "puller", "a password of a test"
HTPASSWD = f"{USER}:$2b$04$lhoo.DBT3pfcqyHDzDbDI.WiSZBLjnw/Op4ppKSdY46M5.Ev.Z9HC\n"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
MANIFEST = Scripted(200, {"Content-Type": OCI_MANIFEST}, b"{}")


def login_files(directory: Path, user: str = USER, password: str = PASSWORD) -> dict[str, object]:
    (directory / "user").write_text(user + "\n")
    (directory / "password").write_text(password + "\n")
    return {"username_file": str(directory / "user"), "password_file": str(directory / "password")}


# --- real registries ---


def test_basic_logins_are_taken_by_a_real_registry(
    start_registry: StartRegistry, tmp_path: Path
) -> None:
    there = start_registry(htpasswd=HTPASSWD, login=(USER, PASSWORD))
    digest = there.push_image("app", "1.0")
    repository = Repository(there.host, "app")
    client = client_for(tmp_path, entry(there.host, **login_files(tmp_path)))
    found = client.resolve(repository, "1.0")
    assert found is not None
    assert found.digest == digest
    client.upload_blob(repository, b"a blob", may_exist=False, deadline=None)
    assert there.get_blob("app", Digest.of(b"a blob")) == b"a blob"
    wrong = client_for(tmp_path, entry(there.host, **login_files(tmp_path, password="wrong")))
    for refused in (wrong, client_for(tmp_path, entry(there.host))):
        with pytest.raises(RegistryDeniedError):
            refused.resolve(repository, "1.0")


def test_a_changed_password_file_is_noticed_when_the_old_one_is_refused(
    start_registry: StartRegistry, tmp_path: Path
) -> None:
    there = start_registry(htpasswd=HTPASSWD, login=(USER, PASSWORD))
    there.push_image("app", "1.0")
    client = client_for(tmp_path, entry(there.host, **login_files(tmp_path, password="wrong")))
    with pytest.raises(RegistryDeniedError):
        client.resolve(Repository(there.host, "app"), "1.0")
    login_files(tmp_path)
    assert client.resolve(Repository(there.host, "app"), "1.0") is not None


def certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_tls_is_checked_against_the_configured_ca(
    start_registry: StartRegistry, tmp_path: Path
) -> None:
    tls = certificate(tmp_path)
    there = start_registry(tls=tls)
    digest = there.push_image("app", "1.0")
    repository = Repository(there.host, "app")
    trusted = client_for(tmp_path, {"host": there.host, "ca_file": str(tls[0])})
    found = trusted.resolve(repository, "1.0")
    assert found is not None
    assert found.digest == digest
    trusted.upload_blob(repository, b"over tls", may_exist=False, deadline=None)
    assert there.get_blob("app", Digest.of(b"over tls")) == b"over tls"
    (tmp_path / "other").mkdir()
    other_ca, _ = certificate(tmp_path / "other")
    for unfit in (
        {"host": there.host},
        {"host": there.host, "ca_file": str(other_ca)},
        entry(there.host),  # plain HTTP to a TLS port
    ):
        with pytest.raises(RegistryUnavailableError):
            client_for(tmp_path, unfit).resolve(repository, "1.0")


# --- the token flow ---


class TokenRegistry:
    """A registry and its token service behind one script; tokens are numbered."""

    def __init__(self, *, token_status: int = 200, expires_in: object = 300) -> None:
        self.issued = 0
        self.asked: list[Received] = []
        self.token_status = token_status
        self.expires_in = expires_in
        self.valid: Mapping[str, str] = {}
        self.realm_host: str | None = None
        self.answer: bytes | None = None

    def __call__(self, request: Received) -> Scripted:
        if urlsplit(request.path).path == "/token":
            return self._token(request)
        scope = self.valid.get(request.headers.get("authorization", ""))
        if scope is None:
            host = self.realm_host or request.headers["host"]
            # The scope asks for more than we mean to do; it must not be granted.
            challenge = (
                f'Bearer realm="http://{host}/token",service="the, service",'
                'scope="repository:other/app:pull,push,delete"'
            )
            return Scripted(401, {"WWW-Authenticate": challenge}, b'{"errors":[]}')
        if request.method == "GET":
            return MANIFEST
        return Scripted(202, {"Location": f"http://{request.headers['host']}/upload?x=1"})

    def _token(self, request: Received) -> Scripted:
        self.asked.append(request)
        self.issued += 1
        if self.token_status != 200:
            return Scripted(self.token_status, {"Retry-After": "3"})
        if self.answer is not None:
            return Scripted(200, {}, self.answer)
        form = urlsplit(request.path).query or request.body.decode()
        [scope] = parse_qs(form)["scope"]
        self.valid = {**self.valid, f"Bearer t{self.issued}": scope}
        document = {"token": f"t{self.issued}", "expires_in": self.expires_in}
        return Scripted(200, {}, json.dumps(document).encode())


def test_a_token_is_fetched_once_for_a_repository_and_kept_until_it_expires(
    tmp_path: Path,
) -> None:
    clock, service = TurnedClock(), TokenRegistry()
    with ScriptedServer(service) as server:
        fields = entry(server.host, **login_files(tmp_path))
        client = client_for(tmp_path, fields, clock=clock)
        for _ in range(3):
            assert client.manifest(Repository(server.host, "team/app"), "1.0") is not None
        assert service.issued == 1
        assert client.manifest(Repository(server.host, "other"), "1.0") is not None
        assert service.issued == 2
        clock.turn(291)
        assert client.manifest(Repository(server.host, "team/app"), "1.0") is not None
        assert service.issued == 3
    query = parse_qs(urlsplit(service.asked[0].path).query)
    # Our own scope, whatever the challenge asked for.
    assert query == {"service": ["the, service"], "scope": ["repository:team/app:pull"]}
    assert service.asked[0].headers["authorization"] == BASIC


def test_an_anonymous_token_is_asked_for_without_a_login(tmp_path: Path) -> None:
    service = TokenRegistry()
    with ScriptedServer(service) as server:
        client = client_for(tmp_path, entry(server.host))
        assert client.manifest(Repository(server.host, "app"), "1.0") is not None
    assert "authorization" not in service.asked[0].headers


def test_an_identity_token_is_traded_at_the_token_service_alone(tmp_path: Path) -> None:
    service = TokenRegistry()
    with ScriptedServer(service) as server:
        docker = tmp_path / "config.json"
        docker.write_text(json.dumps({"auths": {server.host: {"identitytoken": "refresh"}}}))
        client = client_for(tmp_path, entry(server.host, docker_config=str(docker)))
        assert client.manifest(Repository(server.host, "app"), "1.0") is not None
        others = [got for got in server.received if got.path != "/token"]
    [asked] = service.asked
    assert asked.method == "POST"
    form = parse_qs(asked.body.decode())
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["refresh"]
    assert not any("refresh" in str(got.headers) for got in others)


def test_writes_ask_for_a_scope_of_their_own(tmp_path: Path) -> None:
    service = TokenRegistry()
    with ScriptedServer(service) as server:
        client = client_for(tmp_path, entry(server.host))
        # The scripted registry ends no upload with 201, which does not matter here.
        with pytest.raises(RegistryUnavailableError):
            client.upload_blob(Repository(server.host, "app"), b"x", may_exist=False, deadline=None)
    assert set(service.valid.values()) == {"repository:app:pull,push"}


def test_a_token_that_is_refused_early_is_fetched_anew_once(tmp_path: Path) -> None:
    service = TokenRegistry()
    with ScriptedServer(service) as server:
        client = client_for(tmp_path, entry(server.host))
        repository = Repository(server.host, "app")
        assert client.manifest(repository, "1.0") is not None
        service.valid = {}  # revoked
        assert client.manifest(repository, "1.0") is not None
        assert service.issued == 2


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_login_that_the_token_service_refuses_is_denied(tmp_path: Path, status: int) -> None:
    with ScriptedServer(TokenRegistry(token_status=status)) as server:
        client = client_for(tmp_path, entry(server.host))
        with pytest.raises(RegistryDeniedError):
            client.manifest(Repository(server.host, "app"), "1.0")


def test_a_login_that_the_token_service_refused_is_read_anew(tmp_path: Path) -> None:
    service = TokenRegistry(token_status=401)
    with ScriptedServer(service) as server:
        client = client_for(tmp_path, entry(server.host, **login_files(tmp_path, password="old")))
        with pytest.raises(RegistryDeniedError):
            client.manifest(Repository(server.host, "app"), "1.0")
        login_files(tmp_path)
        service.token_status = 200
        assert client.manifest(Repository(server.host, "app"), "1.0") is not None
    assert service.asked[-1].headers["authorization"] == BASIC


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_a_token_service_that_is_away_is_no_denial(tmp_path: Path, status: int) -> None:
    with ScriptedServer(TokenRegistry(token_status=status)) as server:
        client = client_for(tmp_path, entry(server.host))
        with pytest.raises(RegistryUnavailableError) as caught:
            client.manifest(Repository(server.host, "app"), "1.0")
    assert caught.value.retry_after == 3.0


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"token":7}',
        b'{"token":"a\\nInjected: b"}',
        b'{"token":"t","expires_in":"soon"}',
        b'{"token":"t","expires_in":[1]}',
    ],
)
def test_nonsense_of_a_token_service_is_no_answer(tmp_path: Path, answer: bytes) -> None:
    service = TokenRegistry()
    service.answer = answer
    with ScriptedServer(service) as server:
        client = client_for(tmp_path, entry(server.host))
        with pytest.raises(RegistryUnavailableError):
            client.manifest(Repository(server.host, "app"), "1.0")


def test_a_token_service_elsewhere_is_asked_only_if_it_is_listed(tmp_path: Path) -> None:
    service = TokenRegistry()
    with ScriptedServer(service) as tokens, ScriptedServer(service) as server:
        service.realm_host = tokens.host
        login = login_files(tmp_path)
        repository = Repository(server.host, "app")
        unlisted = client_for(tmp_path, entry(server.host, redirect_hosts=[tokens.host], **login))
        with pytest.raises(RegistryUnavailableError, match="token_hosts"):
            unlisted.manifest(repository, "1.0")
        assert tokens.received == []
        listed = client_for(tmp_path, entry(server.host, token_hosts=[tokens.host], **login))
        assert listed.manifest(repository, "1.0") is not None
        assert len(tokens.received) == 1


# --- where secrets may go ---


def test_a_redirect_to_a_listed_host_is_followed_without_the_login(tmp_path: Path) -> None:
    content = b"a blob"
    with ScriptedServer(lambda _: Scripted(200, {}, content)) as storage:

        def registry(request: Received) -> Scripted:
            if "authorization" not in request.headers:
                return Scripted(401, {"WWW-Authenticate": 'Basic realm="x"'})
            return Scripted(307, {"Location": f"http://{storage.host}/blob?signature=a%2Fb"})

        with ScriptedServer(registry) as server:
            repository = Repository(server.host, "app")
            login = login_files(tmp_path)
            unlisted = client_for(tmp_path, entry(server.host, token_hosts=[storage.host], **login))
            with pytest.raises(RegistryUnavailableError, match="redirect_hosts"):
                unlisted.blob(repository, Digest.of(content))
            assert storage.received == []
            listed = entry(server.host, redirect_hosts=[storage.host], **login)
            client = client_for(tmp_path, listed)
            assert client.blob(repository, Digest.of(content)) == content
            assert [got.headers.get("authorization") for got in server.received[-2:]] == [
                None,
                BASIC,
            ]
        [got] = storage.received
    assert got.path == "/blob?signature=a%2Fb"
    assert "authorization" not in got.headers


def test_a_redirect_within_the_registry_keeps_the_login(tmp_path: Path) -> None:
    def registry(request: Received) -> Scripted:
        if "authorization" not in request.headers:
            return Scripted(401, {"WWW-Authenticate": 'Basic realm="x"'})
        return MANIFEST if request.path == "/moved" else Scripted(302, {"Location": "/moved"})

    with ScriptedServer(registry) as server:
        client = client_for(tmp_path, entry(server.host, **login_files(tmp_path)))
        assert client.manifest(Repository(server.host, "app"), "1.0") is not None


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("http://{host}/v2/up?a=b", id="absolute"),
        pytest.param("https://images.example.com/v2/up?a=b", id="by-its-public-name-over-tls"),
        pytest.param("/v2/up?a=b", id="relative"),
        pytest.param("//{host}/v2/up?a=b", id="without-a-scheme"),
    ],
)
def test_an_upload_is_completed_where_the_registry_says_by_any_of_its_names(
    tmp_path: Path, location: str
) -> None:
    def registry(request: Received) -> Scripted:
        if request.method == "POST":
            return Scripted(202, {"Location": location.format(host=request.headers["host"])})
        return Scripted(201)

    with ScriptedServer(registry) as server:
        client = client_for(tmp_path, entry(server.host, public_name="images.example.com"))
        client.upload_blob(Repository(server.host, "app"), b"x", may_exist=False, deadline=None)
        done = server.received[-1]
    assert (done.method, done.body) == ("PUT", b"x")
    assert done.path == f"/v2/up?a=b&digest={Digest.of(b'x')}"


@pytest.mark.parametrize(
    "location",
    [
        "http://elsewhere.example/up",
        "http://{host}@elsewhere.example/up",
        "http://user@{host}/up",
        "http://{host}.elsewhere.example/up",
        "ftp://{host}/up",
        "http://{host}x/up",
        "",
    ],
)
def test_an_upload_to_a_host_that_is_not_listed_is_refused(tmp_path: Path, location: str) -> None:
    def registry(request: Received) -> Scripted:
        return Scripted(202, {"Location": location.format(host=request.headers["host"])})

    with ScriptedServer(registry) as server:
        client = client_for(tmp_path, entry(server.host))
        with pytest.raises(RegistryUnavailableError):
            client.upload_blob(Repository(server.host, "app"), b"x", may_exist=False, deadline=None)
        assert [got.method for got in server.received] == ["POST"]


# --- challenges ---


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", {}),
        ("Basic", {"basic": {}}),
        ('Basic realm="a, b=c"', {"basic": {"realm": "a, b=c"}}),
        (
            'BEARER Realm="https://a/t",service=s,scope="x:y:pull,push"',
            {"bearer": {"realm": "https://a/t", "service": "s", "scope": "x:y:pull,push"}},
        ),
        (
            'Basic realm="r", Bearer realm="https://a/t" , service="s", Negotiate',
            {
                "basic": {"realm": "r"},
                "bearer": {"realm": "https://a/t", "service": "s"},
                "negotiate": {},
            },
        ),
        (r'Basic realm="q\"uo,ted"', {"basic": {"realm": 'q"uo,ted'}}),
        ('Bearer realm="first", Bearer realm="second"', {"bearer": {"realm": "first"}}),
    ],
)
def test_challenges_are_read(header: str, challenges: dict[str, dict[str, str]]) -> None:
    assert parse_challenges(header) == challenges


@given(st.text(max_size=60) | st.text('Bearer ="\\,s', max_size=60))
def test_no_challenge_breaks_its_reader(header: str) -> None:
    parse_challenges(header)
