"""Helm's library renders our chart, and Kubernetes' own types take every object, strictly."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from service.domain.serving import ServerRole
from tests.support.clients import client

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "sealwright"
SETS = {f"trial-{role}" for role in ServerRole}
FULL: dict[str, Any] = {
    "image": {"digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "pull"}],
    "logName": "signatures.example.com",
    "trustedProxies": "10.0.0.0/8",
    "secrets": {"registries": "registries"},
    "hsm": {
        "module": {"image": "registry.example.com/vendor:1"},
        "env": [{"name": "VENDOR_CONFIG", "value": "/etc/hsm"}],
        "volumes": [{"name": "client", "secret": {"secretName": "client"}}],
        "volumeMounts": [{"name": "client", "mountPath": "/etc/hsm"}],
        "cidrs": ["10.20.0.0/28"],
        "ports": [1792],
    },
    "checkpoints": {"storageClassName": "fast"},
    "networkPolicy": {
        "callers": [{"namespaceSelector": {"matchLabels": {"team": "build"}}}],
        "database": {"cidrs": ["10.1.0.0/24"]},
        "registries": {"cidrs": ["10.2.0.0/24"], "ports": [443, 5000]},
    },
    "podAnnotations": {"example.com/a": "b"},
    "nodeSelector": {"zone": "a"},
    "tolerations": [{"key": "hsm", "operator": "Exists"}],
    "serviceAccount": {"annotations": {"example.com/role": "c"}},
}


def judged(values: dict[str, Any], chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [client("chart-judge"), str(chart)],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    done = judged(values)
    assert done.returncode == 0, done.stderr
    objects: list[dict[str, Any]] = json.loads(done.stdout)
    return objects


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


@pytest.mark.parametrize("values", [{}, FULL], ids=["as it comes", "everything set"])
def test_kubernetes_types_take_every_object_of_the_chart(values: dict[str, Any]) -> None:
    objects = rendered(values)
    assert set(of_kind(objects, "StatefulSet")) == SETS
    assert set(of_kind(objects, "PodDisruptionBudget")) == SETS - {"trial-worker"}


def test_a_field_that_kubernetes_does_not_know_is_noticed(tmp_path: Path) -> None:
    chart = tmp_path / "sealwright"
    for file in CHART.rglob("*"):
        if file.is_file():
            copy = chart / file.relative_to(CHART)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(file.read_text().replace("minAvailable: {{", "leastAvailable: {{"))
    done = judged({}, chart)
    assert done.returncode == 1
    assert "leastAvailable" in done.stderr


def test_each_role_is_probed_for_its_own_work_and_can_be_left_out() -> None:
    sets = of_kind(rendered({}), "StatefulSet")
    for role in ServerRole:
        (container,) = sets[f"trial-{role}"]["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["serve"]
        assert container["env"][0] == {"name": "SEALWRIGHT_ROLES", "value": role}
        assert container["readinessProbe"]["httpGet"]["path"] == f"/readyz?for={role}"
    assert "trial-verify" not in of_kind(rendered({"api": {"verify": None}}), "StatefulSet")


def test_a_pod_that_verifies_alone_gets_neither_module_nor_pin() -> None:
    sets = of_kind(rendered(FULL), "StatefulSet")
    hsm = {"latch", "pins", "module", "client"}
    for name, each in sets.items():
        pod = each["spec"]["template"]["spec"]
        held = {volume["name"] for volume in pod["volumes"]} & hsm
        assert held == (set() if name == "trial-verify" else hsm)
        assert ("initContainers" in pod) == bool(held)
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} & hsm == held
        set_ = {variable["name"] for variable in container["env"]}
        assert ({"SEALWRIGHT_TOKENS_FILE", "VENDOR_CONFIG"} <= set_) == bool(held)
    mixed = {**FULL, "api": {"verify": {"roles": ["verify", "sign"]}}}
    pod = of_kind(rendered(mixed), "StatefulSet")["trial-verify"]["spec"]["template"]["spec"]
    assert hsm <= {volume["name"] for volume in pod["volumes"]}


def test_no_pod_runs_as_root_writes_its_own_files_or_holds_a_secret_in_its_environment() -> None:
    objects = rendered(FULL)
    pods = [*of_kind(objects, "StatefulSet").values(), *of_kind(objects, "Job").values()]
    assert len(pods) == len(SETS) + 1
    for pod in (each["spec"]["template"]["spec"] for each in pods):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert all("valueFrom" not in each for each in container.get("env", []))


def test_what_is_not_named_to_the_network_policy_is_closed() -> None:
    (closed,) = of_kind(rendered({}), "NetworkPolicy").values()
    assert [rule["ports"][0]["port"] for rule in closed["spec"]["egress"]] == [53]
    (opened,) = of_kind(rendered(FULL), "NetworkPolicy").values()
    networks = [rule["to"][0]["ipBlock"]["cidr"] for rule in opened["spec"]["egress"][1:]]
    assert networks == ["10.1.0.0/24", "10.2.0.0/24", "10.20.0.0/28"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"api": {"sign": {"replicas": 0}}},
        {"api": {"sign": {"roles": ["tea"]}}},
        {"imagee": {}},
        {"image": {"digest": "sha256:1"}},
    ],
    ids=["no replica", "no such role", "unknown value", "no digest"],
)
def test_values_that_cannot_work_are_refused_by_the_chart_s_schema(wrong: dict[str, Any]) -> None:
    assert "schema" in judged(wrong).stderr
