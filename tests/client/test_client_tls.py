from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from werkzeug.serving import make_server

from service.client import ClientSettings, SealwrightClient, UnreachableError
from service.client.retries import Retries
from tests.support.edge import QuietHandler

ONCE = Retries(attempts=1)


@dataclass(frozen=True, slots=True)
class Secure:
    port: int
    ca_file: Path


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for `localhost` only; return it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


@pytest.fixture
def secure(app: Flask, tmp_path: Path) -> Iterator[Secure]:
    cert_file, key_file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    server = make_server(
        "127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler, ssl_context=context
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Secure(server.server_port, cert_file)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def client(url: str, ca_file: Path | None) -> SealwrightClient:
    env = {"SEALWRIGHT_URL": url}
    if ca_file is not None:
        env["SEALWRIGHT_CA_FILE"] = str(ca_file)
    return SealwrightClient(ClientSettings.read(env), ONCE)


def test_a_certificate_of_the_named_authority_is_trusted(secure: Secure) -> None:
    trusting = client(f"https://localhost:{secure.port}", secure.ca_file)
    assert trusting.key("release")["name"] == "release"


def test_a_certificate_of_nobody_known_is_not(secure: Secure) -> None:
    with pytest.raises(UnreachableError, match="is not trusted"):
        client(f"https://localhost:{secure.port}", None).key("release")


def test_a_certificate_for_another_name_is_not(secure: Secure) -> None:
    with pytest.raises(UnreachableError, match="is not trusted"):
        client(f"https://127.0.0.1:{secure.port}", secure.ca_file).key("release")


def test_a_file_that_holds_no_authority_is_told(secure: Secure, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="SEALWRIGHT_CA_FILE"):
        client(f"https://localhost:{secure.port}", tmp_path / "none").key("release")
