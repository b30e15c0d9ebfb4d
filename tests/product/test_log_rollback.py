"""A database put back to an older state: its log is refilled from the registry, and goes on."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from service.translog.cosignatures import Witness, check_cosignatures
from service.translog.notes import Note
from tests.support.product import Product, dev_environment, start_dev, stop_dev
from tests.support.registry import DockerRegistry
from tests.support.witness import SmallWitness, served


def push_and_sign(product: Product, repository: str) -> list[int]:
    """Sign a new image of the repository; return the positions of its entries."""
    digest = product.images.push_image(repository, uuid.uuid4().hex, {"a": uuid.uuid4().bytes})
    answer = product.sign(f"{product.registry}/{repository}@{digest}")
    assert answer.status == 201, answer.body
    made = answer.body["results"][0]["signatures"]
    assert {one["attachment"]["state"] for one in made} == {"attached"}
    return [one["log"]["index"] for one in made]


def sealwright(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("sealwright")), *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_database_of_an_hour_ago_does_not_fork_the_log(
    tmp_path: Path, registry: DockerRegistry
) -> None:
    witness = SmallWitness("", b"")
    with served(witness) as url:
        file = tmp_path / "witnesses.yaml"
        file.write_text(json.dumps({"witnesses": [{"key": witness.vkey, "url": url}]}))
        go_back(tmp_path, registry, witness, {"SEALWRIGHT_WITNESSES_FILE": str(file)})


def until_cosigned(product: Product, witness: SmallWitness, size: int) -> None:
    """Wait until the witness has cosigned a checkpoint over so many entries, and check it."""
    deadline = time.monotonic() + 60
    path = "/v1/log/checkpoint?cosigned=true"
    while True:
        answer = product.call("GET", path, who=None)
        if answer.status == 200 and int(answer.body.split("\n")[1]) >= size:
            break
        assert time.monotonic() < deadline, answer.body
        time.sleep(0.1)
    known = [Witness.parse(witness.vkey)]
    assert len(check_cosignatures(Note.parse(answer.body), known)) == 1


def go_back(
    tmp_path: Path, registry: DockerRegistry, witness: SmallWitness, settings: dict[str, str]
) -> None:
    state, option = tmp_path / "state", ("--registry", registry.host)
    database, backup = state / "sealwright.db", tmp_path / "backup.db"
    watch = ("log", "monitor", "--state", str(tmp_path / "seen.json"), "--json")
    process, product = start_dev(state, *option, env=settings)
    kept = push_and_sign(product, "roll/kept")
    note = product.call("GET", "/v1/log/checkpoint", who=None).body
    key = serialization.load_pem_public_key(product.public_key("log").encode())
    witness.log_key = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    witness.origin = note.partition("\n")[0]
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    env = dev_environment(product)
    lost = [push_and_sign(product, "roll/back") for _ in range(3)]
    assert sealwright(*watch, env={"SEALWRIGHT_URL": product.url}).returncode == 0
    until_cosigned(product, witness, 1 + max(one for pair in lost for one in pair))
    assert stop_dev(process) == 0

    for file in database.parent.glob(database.name + "*"):
        file.unlink()
    backup.rename(database)
    # It comes up, says what is wrong, and signs nothing before somebody has decided.
    process, product = start_dev(state, *option, env=settings)
    told = (tmp_path / "state.stderr").read_text()
    assert "it cannot sign: the store holds" in told
    assert "log-rolled-back" in told
    ready = product.call("GET", "/readyz?for=sign", who=None)
    assert ready.status == 503
    (part,) = (part for part in ready.body["parts"] if not part["ready"])
    assert (part["name"], part["code"]) == ("log", "log-rolled-back")
    assert product.call("GET", "/readyz?for=verify", who=None).status == 200
    refused = product.sign(f"{product.registry}/roll/back@sha256:{'0' * 64}", attach=False)
    assert (refused.status, refused.body["code"]) == (503, "log-rolled-back")
    doctor = sealwright("doctor", env=env)
    assert "a checkpoint over" in doctor.stdout

    place = f"{registry.host}/roll"
    elsewhere = sealwright("log", "recover", "--repository", f"{place}/kept", "--json", env=env)
    positions = sorted(one for pair in lost for one in pair)
    assert elsewhere.returncode == 1, elsewhere.stderr
    assert json.loads(elsewhere.stdout) == {"missing": positions, "found": 0}
    done = sealwright("log", "recover", "--repository", f"{place}/back", env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "6 entries put back\n"
    # The audit log has no registry that remembers it: it is closed, and another begun.
    assert sealwright("log", "recover", "--audit", "--close", env=env).returncode == 0
    assert sealwright("log", "verify", "--store", env=env).returncode == 0

    # Nothing was started again for it to go on.
    assert product.call("GET", "/readyz?for=sign", who=None).status == 200
    assert sealwright(*watch, env={"SEALWRIGHT_URL": product.url}).returncode == 0
    after = push_and_sign(product, "roll/back")
    every = [*kept, *positions, *after]
    assert sorted(every) == list(range(len(every)))
    until_cosigned(product, witness, len(every))
    seen = sealwright(*watch, env={"SEALWRIGHT_URL": product.url})
    assert json.loads(seen.stdout)["size"] == len(every)
    assert stop_dev(process) == 0
