"""Signs with a key of the product's token past the product, as somebody who has its PIN could.

Run as `python -m tests.support.past_the_service PUBLIC_KEY_FILE` under the product's settings,
in a process of its own, for the module belongs to whoever loads it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pkcs11
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11.util.ec import encode_ecdsa_signature

from tests.support.product import Product, dev_environment


def sign_past(product: Product, message: bytes, *, key: str = "release") -> bytes:
    """Return a signature by an ec-p256 key that the product knows nothing of."""
    public = product.state / f"{key}.past.pem"
    public.write_text(product.public_key(key))
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.past_the_service", str(public)],
        env={**os.environ, **dev_environment(product)},
        cwd=Path(__file__).parents[2],
        input=message,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _main(public_file: Path) -> None:
    public = serialization.load_pem_public_key(public_file.read_bytes())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    message = sys.stdin.buffer.read()
    token = pkcs11.lib(os.environ["SEALWRIGHT_PKCS11_MODULE"]).get_token(
        token_label=os.environ["SEALWRIGHT_TOKEN_LABEL"]
    )
    pin = Path(os.environ["SEALWRIGHT_PIN_FILE"]).read_text().strip()
    with token.open(user_pin=pin) as session:
        kind = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY,
            pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC,
        }
        for private in list(session.get_objects(kind)):  # a search must end before a signature
            raw = private.sign(sha256(message).digest(), mechanism=pkcs11.Mechanism.ECDSA)
            signature = encode_ecdsa_signature(raw)
            try:
                public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
            except InvalidSignature:
                continue
            sys.stdout.buffer.write(signature)
            return
    raise SystemExit("the token holds no such key")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
