"""Two services on one token and one database: names, public keys and CKA_IDs stay unique."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.domain.pages import PageRequest
from service.store import Store
from tests.support.softhsm import SoftHSM

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, sys, time
from pathlib import Path
from service.domain.errors import BusyError, ServiceError
from service.domain.keys import Purpose
from service.operations.adopt_key import Adoption
from service.operations.generate_key import Generation
from tests.support.services import CUSTODIAN, Services
from tests.support.softhsm import TokenFixture

directory, url, module, label, serial, pin_file = sys.argv[1:]
Path(directory).mkdir()
service = Services(Path(directory), url)(TokenFixture(Path(module), label, serial, Path(pin_file)))
custody = service.operations.custody

def tried(make):
    while True:
        try:
            return make().summary
        except BusyError:
            time.sleep(0.02)  # as a client would, only sooner
        except ServiceError as error:
            return {"error": error.code}

service.keyring.health()
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "create":
        wanted = Generation(order["name"], Purpose.IMAGE, None, label)
        done = tried(lambda: custody.generate(CUSTODIAN, wanted))
    elif order["do"] == "rotate":
        wanted = Generation(order["name"], None, None, label)
        done = tried(lambda: custody.generate(CUSTODIAN, wanted))
    else:
        wanted = Adoption(order["name"], order["uri"], order["public_key"])
        done = tried(lambda: custody.adopt(CUSTODIAN, wanted))
    print(json.dumps(done), flush=True)
"""
# Run where nothing else uses the token's module: keys of others, and a look at the token.
FOREIGN = """
import json, secrets, sys
from pathlib import Path
import pkcs11
from cryptography.hazmat.primitives import serialization
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util.ec import encode_ec_public_key

module, label, pin_file, cka_id = sys.argv[1:]
token = pkcs11.lib(module).get_token(token_label=label)
with token.open(rw=True, user_pin=Path(pin_file).read_text()) as session:
    if cka_id:
        curve = {Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters("secp256r1")}
        domain = session.create_domain_parameters(KeyType.EC, curve, local=True)
        public, _ = domain.generate_keypair(store=True, id=bytes.fromhex(cka_id), label="theirs")
        loaded = serialization.load_der_public_key(encode_ec_public_key(public))
        pem = loaded.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        print(json.dumps(pem.decode()))
    else:
        found = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
        print(json.dumps(sorted((key.label, key.id.hex()) for key in found)))
"""


class Pair:
    """Two processes that do what they are told at the same moment."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes
        self.lines("ready")

    def lines(self, expected: str | None = None) -> list[str]:
        read = []
        for process in self.processes:
            assert process.stdout is not None
            read.append(process.stdout.readline().strip())
        assert expected is None or read == [expected] * len(read)
        return read

    def __call__(self, *orders: dict[str, Any]) -> list[dict[str, Any]]:
        for process, order in zip(self.processes, orders, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps(order) + "\n")
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.flush()
        return [json.loads(line) for line in self.lines()]


@contextmanager
def pair(softhsm: SoftHSM, url: str, directory: Path) -> Iterator[Pair]:
    token = softhsm.token("shared")
    words = [url, str(token.module), token.label, token.serial, str(token.pin_file)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(directory / str(number)), *words],
            cwd=ROOT,
            env={**softhsm.environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        yield Pair(processes)
    finally:
        for process in processes:
            process.communicate(timeout=60)


def foreign(softhsm: SoftHSM, cka_id: str = "") -> Any:
    token = softhsm.token("shared")
    words = [str(token.module), token.label, str(token.pin_file), cka_id]
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN, *words],
        env={**os.environ, **softhsm.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture
def shared(new_softhsm: Callable[[], SoftHSM]) -> SoftHSM:
    return new_softhsm()


def test_what_two_processes_do_at_once_stays_unique(
    shared: SoftHSM, sqlite_store_url: str, tmp_path: Path
) -> None:
    pem = foreign(shared, "01")
    adopted_uri = "pkcs11:token=shared;id=%01"
    with pair(shared, sqlite_store_url, tmp_path) as both:
        # One name: one key, and nothing left over on the token.
        created = both(*[{"do": "create", "name": "release"}] * 2)
        assert sorted(done.get("error", "made") for done in created) == ["key-exists", "made"]
        # Two rotations of it: two versions, numbered one after the other.
        rotated = both(*[{"do": "rotate", "name": "release"}] * 2)
        assert sorted(done["version"] for done in rotated) == [2, 3]
        # One key pair under two names: one of them has it.
        adopting = [
            {"do": "adopt", "name": name, "uri": adopted_uri, "public_key": pem}
            for name in ("old", "older")
        ]
        adopted = both(*adopting)
        assert sorted(done.get("error", "made") for done in adopted) == [
            "made",
            "public-key-taken",
        ]
    store = Store(sqlite_store_url)
    keys = store.keys.list(None, PageRequest()).items
    store.close()
    versions = [version for key in keys for version in key.versions]
    assert [key.name for key in keys if key.name != "release"] in (["old"], ["older"])
    assert [v.state.value for v in keys[-1].versions] == ["retired", "retired", "active"]
    assert len({version.public_key for version in versions}) == 4
    on_token = foreign(shared)
    assert [label for label, _ in on_token] == ["release/1", "release/2", "release/3", "theirs"]
    assert {cka_id for _, cka_id in on_token} == {v.cka_id.hex() for v in versions}
