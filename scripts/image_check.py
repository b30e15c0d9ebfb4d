"""Get a signature from the container image: run inside it, as its user, by `image check`.

Uses what the image holds and nothing else: a SoftHSM token, the database, `sealwright serve`.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# The image's own environment, which its `sealwright` runs in.
PYTHON = "/opt/sealwright/bin/python"
SITE = next(Path("/opt/sealwright/lib").glob("python3*/site-packages"))
sys.path.insert(0, str(SITE))

from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402 -- needs the path
from cryptography.hazmat.primitives.hashes import SHA256  # noqa: E402
from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: E402

from service.client import ClientError, ClientSettings, SealwrightClient  # noqa: E402

START_SECONDS = 60


def main() -> int:
    if os.getuid() == 0:
        print("FAIL: the image runs as root")
        return 1
    with tempfile.TemporaryDirectory(dir="/var/lib/sealwright") as directory:
        work = Path(directory)
        port = free_port()
        env = settings(work, port)
        token = env["SEALWRIGHT_TOKEN_LABEL"]
        local(env, "sealwright", "db", "upgrade")
        admin = work / "admin"
        first = ("credentials", "create", "root", "--first", "--person", "image check")
        local(env, "sealwright", *first, "--output", admin)
        service = subprocess.Popen(["sealwright", "serve"], env=env)
        try:
            sign_one(port, admin.read_text(), token)
        finally:
            service.terminate()
            service.wait(60)
    print(f"PASS: the image signs, as uid {os.getuid()}")
    return 0


def settings(work: Path, port: int) -> dict[str, str]:
    """Make a token, and return the settings under which the service uses it."""
    (work / "tokens").mkdir()
    (work / "softhsm2.conf").write_text(f"directories.tokendir = {work}/tokens\n")
    module = next(Path("/usr/lib").glob("**/softhsm/libsofthsm2.so"))
    env = {**os.environ, "SOFTHSM2_CONF": str(work / "softhsm2.conf")}
    made = local(
        env,
        *(PYTHON, "-m", "service.keyring.provision", "--module", module, "--label", "image-check"),
        *("--so-pin-file", work / "so.pin", "--pin-file", work / "user.pin"),
    )
    registries = work / "registries.yaml"
    registries.write_text("registries: [{host: registry.example.com}]\n")
    return env | {
        "SEALWRIGHT_STATE_DIR": str(work),
        "SEALWRIGHT_REGISTRIES_FILE": str(registries),
        "SEALWRIGHT_BIND": f"127.0.0.1:{port}",
        "SEALWRIGHT_PKCS11_MODULE": str(module),
        "SEALWRIGHT_TOKEN_LABEL": "image-check",
        "SEALWRIGHT_TOKEN_SERIAL": json.loads(made)["serial"],
        "SEALWRIGHT_PIN_FILE": str(work / "user.pin"),
    }


def sign_one(port: int, admin_token: str, token: str) -> None:
    admin = client(port, admin_token)
    wait_for(admin)
    custodian = {"name": "custodian", "person": "check", "role": "custodian"}
    keys = client(port, admin.create_credential(custodian)["token"])
    keys.create_key("release", "image", algorithm="ec-p256", token=token)
    builder = admin.create_credential(
        {
            "name": "builder",
            "person": "check",
            "role": "builder",
            "repositories": ["**"],
            "keys": ["release"],
        }
    )
    digest = f"sha256:{secrets.token_hex(32)}"
    answer = client(port, builder["token"]).sign(
        {
            "images": [{"reference": f"registry.example.com/team/app@{digest}"}],
            "key": "release",
            "attach": False,
        }
    )
    made = answer["results"][0]["signatures"][0]
    payload, signature = (base64.b64decode(made[name]) for name in ("payload", "signature"))
    if digest.encode() not in payload:
        raise SystemExit("FAIL: the payload names another digest")
    pem = admin.public_key("release", accept="application/x-pem-file").encode()
    key = load_pem_public_key(pem)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise SystemExit("FAIL: another kind of key")
    key.verify(signature, payload, ec.ECDSA(SHA256()))


def client(port: int, token: str) -> SealwrightClient:
    return SealwrightClient(ClientSettings("127.0.0.1", port, tls=False, token=token))


def wait_for(admin: SealwrightClient) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            list(admin.credentials())
        except ClientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def local(env: dict[str, str], *words: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in words], env=env, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
