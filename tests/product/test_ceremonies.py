"""Printed ceremonies, rehearsed against the product: what the paper says is what happens."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from tests.support.ceremonies import Done, rehearse
from tests.support.product import Product

INTEGRATED_SECONDS = 60


def sealwright(product: Product, who: str, *words: str) -> str:
    token = product.state / "credentials" / who
    env = {**os.environ, "SEALWRIGHT_URL": product.url, "SEALWRIGHT_TOKEN_FILE": str(token)}
    command = [str(Path(sys.executable).with_name("sealwright")), *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def hold(product: Product, directory: Path, *words: str, people: int = 1) -> dict[str, Done]:
    """Print the paper, rehearse it, and return its steps by who and what."""
    directory.mkdir()
    paper = sealwright(product, "custodian", "keys", "ceremony", *words)
    credentials = product.state / "credentials"
    written = {"/media/auditor/token": f"{credentials}/auditor"}
    names = ("custodian", "custodian-2")[:people]
    for number, name in enumerate(names, 1):
        written[f"/media/custodian-{number}/token"] = f"{credentials}/{name}"
    steps = rehearse(paper, directory, written)
    wrong = [step for step in steps if step.code != step.expected_code]
    assert wrong == []
    return {step.title.partition(" ")[2]: step for step in steps}


def events(product: Product, name: str) -> list[dict[str, Any]]:
    answer = product.call("GET", f"/v1/minutes/{name}", who="auditor")
    assert answer.status == 200
    return list(answer.body["events"])


def test_a_key_is_generated_rotated_and_destroyed_by_the_printed_scripts(
    product: Product, tmp_path: Path
) -> None:
    name = f"ceremony-{uuid.uuid4().hex[:8]}"
    steps = hold(product, tmp_path / "generate", "generate", name, "--token", "sealwright-dev")
    shown = steps["Auditor: What the token says of the key."].out
    assert "version 1: active" in shown
    assert "sensitive yes, extractable no" in shown
    counted = steps["Auditor: The public key, and its fingerprint by another program."].out
    assert counted.split()[0] in shown

    steps = hold(product, tmp_path / "rotate", "rotate", name)
    assert counted.split()[0] in steps["Auditor: This is the key."].out
    assert "version 2: active" in steps["Auditor: What the token says of the key."].out

    steps = hold(product, tmp_path / "destroy", "destroy", name, "1", people=2)
    assert "version 1: destroyed" in steps["Auditor: The version is destroyed."].out
    assert "executed" in next(s.out for t, s in steps.items() if t.startswith("Custodian 2"))

    minutes = json.loads((tmp_path / "destroy" / f"{name}-minutes.json").read_text())
    [approval] = minutes["approvals"]
    assert (approval["act"], approval["subject"], approval["state"]) == (
        "destroy",
        f"{name}/1",
        "executed",
    )
    actions = [event["action"] for event in minutes["events"]]
    for action in ("key.created", "key.version-created", "key.destroyed", "approval.executed"):
        assert action in actions
    sequence = [event["sequence"] for event in minutes["events"]]
    assert sequence == sorted(sequence)
    # The log takes them in soon, as what they are.
    deadline = time.monotonic() + INTEGRATED_SECONDS
    while any(event["index"] is None for event in events(product, name)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    taken = {event["sequence"]: event for event in events(product, name)}
    assert list(taken) == sequence
    for event in minutes["events"]:
        assert taken[event["sequence"]] == {**event, "index": taken[event["sequence"]]["index"]}
    index = taken[sequence[0]]["index"]
    found = product.call("GET", f"/v1/audit-events?subject={name}", who="auditor").body["items"]
    assert base64.b64decode(minutes["events"][0]["body"]) in [
        base64.b64decode(item["entry"]) for item in found if item["index"] == index
    ]
    page = (tmp_path / "destroy" / f"{name}-minutes.html").read_text()
    for said in ("dev custodian 1", "dev custodian 2", counted.split()[0], approval["id"]):
        assert said in page
