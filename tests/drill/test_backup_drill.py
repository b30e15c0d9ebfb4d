"""The whole product under load, backed up, lost, and restored to before its last signatures.

What had been published by the backup is proven to be there, what was published after it is named,
and nothing is signed before somebody has decided what becomes of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import PostgresServer
from tests.support.product import Product, dev_environment, start_dev, stop_dev
from tests.support.registry import DockerRegistry
from tests.support.replicas import Load

WATCH = ("log", "monitor", "--json", "--state")


def sealwright(*words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("sealwright")), *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@dataclass(frozen=True)
class Places:
    """The database that is lost, an empty one, and one to try a backup in, where that needs one."""

    lost: dict[str, str]
    empty: dict[str, str]
    scratch: str | None


@pytest.fixture(params=["sqlite", "postgresql"])
def places(request: pytest.FixtureRequest) -> Iterator[Places]:
    if request.param == "sqlite":
        yield Places({}, {}, None)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    names = [server.create_database() for _ in range(3)]
    lost, empty, scratch = map(server.url, names)
    yield Places({"SEALWRIGHT_DATABASE_URL": lost}, {"SEALWRIGHT_DATABASE_URL": empty}, scratch)
    for name in names:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class Signed:
    reference: str
    id: str
    indexes: tuple[int, ...]
    """Where the log has the entries of its signatures."""


def push_and_sign(product: Product, repository: str) -> Signed:
    digest = product.images.push_image(repository, uuid.uuid4().hex, {"a": uuid.uuid4().bytes})
    reference = f"{product.registry}/{repository}@{digest}"
    answer = product.sign(reference)
    assert answer.status == 201, answer.body
    made = answer.body["results"][0]["signatures"]
    assert {one["attachment"]["state"] for one in made} == {"attached"}
    return Signed(reference, made[0]["id"], tuple(one["log"]["index"] for one in made))


@contextmanager
def keys_made(product: Product) -> Iterator[None]:
    """Make one key after the other: whichever the backed up store knows, its token holds.

    The first is there when it begins.
    """
    begun, enough = threading.Event(), threading.Event()
    answers: list[int] = []

    def make() -> None:
        while not enough.is_set():
            body = {"name": f"made-{len(answers)}", "purpose": "image", "algorithm": "ec-p256"}
            answers.append(product.call("POST", "/v1/keys", body, who="custodian").status)
            begun.set()

    thread = threading.Thread(target=make)
    thread.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        enough.set()
        thread.join()
    assert set(answers) == {201}


@dataclass(frozen=True)
class Lost:
    """A service that is gone, and what is left of it."""

    backup: Path
    mirror: Path
    seen: Path
    """What a monitor elsewhere remembers."""
    before: frozenset[str]
    """Signatures that callers had got before the backup was begun."""
    kept: Signed
    after: Signed
    backed_up: int
    published: int


@contextmanager
def running(state: Path, registry: DockerRegistry, env: dict[str, str]) -> Iterator[Product]:
    process, product = start_dev(state, "--registry", registry.host, env=env)
    try:
        yield product
    finally:
        assert stop_dev(process) == 0


def lose(directory: Path, product: Product) -> Lost:
    """Back the product up under load, and let it sign some more."""
    backup, mirror, seen = (directory / name for name in ("backup", "mirror", "seen.json"))
    kept = push_and_sign(product, "drill/kept")
    load = Load([product])
    with load.running(callers=4), keys_made(product):
        load.wait_for(5)
        before = frozenset(one["id"] for one in list(load.made))
        words = ("backup", "create", "--to", str(backup), "--json")
        made = sealwright(*words, env=dev_environment(product))
        load.wait_for(5)
    assert made.returncode == 0, made.stderr
    (log,) = (one for one in json.loads(made.stdout)["logs"] if one["log"] == "signatures")
    after = push_and_sign(product, "drill/after")
    words = (*WATCH, str(seen), "--mirror", str(mirror))
    watched = sealwright(*words, env={"SEALWRIGHT_URL": product.url})
    assert watched.returncode == 0, watched.stderr
    published = json.loads(watched.stdout)["size"]
    return Lost(backup, mirror, seen, before, kept, after, log["size"], published)


def an_empty_machine(product: Product, new: Path, places: Places) -> dict[str, str]:
    """Bring what its owners keep, PIN files and credentials; return the settings."""
    new.mkdir()
    for name in ("secrets", "credentials"):
        shutil.copytree(product.state / name, new / name)
    conf = new / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {new / 'tokens'}\nobjectstore.backend = file\n")
    return {
        **dev_environment(product),
        "SEALWRIGHT_DATABASE_URL": f"sqlite:///{new / 'sealwright.db'}",
        **places.empty,
        "SEALWRIGHT_STATE_DIR": str(new),
        "SEALWRIGHT_PIN_FILE": str(new / "secrets" / "user.pin"),
        "SOFTHSM2_CONF": str(conf),
    }


def test_a_service_is_restored_to_before_its_last_signatures(
    tmp_path: Path, registry: DockerRegistry, places: Places
) -> None:
    with running(tmp_path / "lost", registry, places.lost) as product:
        lost = lose(tmp_path, product)
        env = an_empty_machine(product, tmp_path / "new", places)
    assert max(lost.kept.indexes) < lost.backed_up < min(lost.after.indexes) < lost.published
    missing = restore(lost, env, places.scratch, tmp_path / "scratch")
    with running(tmp_path / "new", registry, places.empty) as product:
        env = {**env, "SEALWRIGHT_URL": product.url}
        serves_and_holds_back(product, lost)
        names_what_is_missing(lost, env, tmp_path / "fresh.json")
        goes_on(product, lost, env, missing)


def restore(lost: Lost, env: dict[str, str], scratch: str | None, file: Path) -> range:
    """Verify and restore; return which entries of the log it said were missing."""
    words = ["backup", "verify", str(lost.backup), "--json"]
    if scratch is not None:
        file.write_text(scratch)
        words += ["--scratch-url-file", str(file)]
    tried = sealwright(*words, env=env)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    checks = json.loads(tried.stdout)["checks"]
    assert {check["outcome"] for check in checks} == {"sound"}
    what = {check["what"] for check in checks}
    assert {"files", "log signatures", "log audit", "key made-0/1", "key log/1"} <= what

    knowledge = ("--newer-checkpoint", str(lost.seen), "--end-log", "audit")
    done = sealwright("backup", "restore", str(lost.backup), *knowledge, "--json", env=env)
    assert done.returncode == 1, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["restored"] is True
    (missing,) = told["missing"]
    assert (missing["log"], missing["to"]) == ("signatures", lost.published - 1)
    assert lost.backed_up <= missing["from"] <= min(lost.after.indexes)
    return range(missing["from"], missing["to"] + 1)


def serves_and_holds_back(product: Product, lost: Lost) -> None:
    """It verifies what it had signed, and signs nothing."""
    assert product.verdict(lost.kept.reference)["verdict"] == "verified"
    assert {product.call("GET", f"/v1/signatures/{one}").status for one in lost.before} == {200}
    assert product.call("GET", f"/v1/signatures/{lost.after.id}").status == 404
    refused = product.sign(lost.kept.reference, force=True, attach=False)
    assert (refused.status, refused.body["code"]) == (503, "maintenance")
    ready = product.call("GET", "/readyz?for=sign", who=None)
    assert "log-rolled-back" in {part.get("code") for part in ready.body["parts"]}


def repositories(lost: Lost) -> list[str]:
    references = (lost.kept.reference, lost.after.reference)
    return [word for one in references for word in ("--repository", one.partition("@")[0])]


def names_what_is_missing(lost: Lost, env: dict[str, str], fresh: Path) -> None:
    """Both are named: entries that the log has shown, and signatures that it does not hold."""
    behind = sealwright(*WATCH, str(lost.seen), env=env)
    assert behind.returncode == 1
    assert f"the log had {lost.published} entries" in behind.stdout
    unlogged = sealwright(*WATCH, str(fresh), *repositories(lost), env=env)
    assert unlogged.returncode == 1
    found = [one["place"].partition("@")[0] for one in json.loads(unlogged.stdout)["unlogged"]]
    assert found == [lost.after.reference.partition("@")[0]] * len(lost.after.indexes)


def goes_on(product: Product, lost: Lost, env: dict[str, str], missing: range) -> None:
    """Everything comes back from those who kept it, and the log goes on from where it was."""
    refilled = sealwright("log", "recover", "--tiles", str(lost.mirror), env=env)
    assert refilled.stdout == f"{len(missing)} entries put back\n", refilled.stderr
    assert sealwright("log", "verify", "--store", env=env).returncode == 0
    opened = product.call("PUT", "/v1/maintenance", {"on": False}, who="admin")
    assert opened.status == 200, opened.body
    assert min(push_and_sign(product, "drill/after").indexes) == lost.published
    whole = sealwright(*WATCH, str(lost.seen), *repositories(lost), env=env)
    assert whole.returncode == 0, whole.stdout + whole.stderr
