"""The manifest of docs/deployment.md says of a worker what docker-compose.yml says."""

from __future__ import annotations

from typing import Any

import yaml

from backtest_pipeline_tests.deploy import kube
from backtest_pipeline_tests.deploy.images import ROOT

WORKER: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["worker"]
DEPLOYMENT: dict[str, Any] = yaml.safe_load(kube.manifest())
POD: dict[str, Any] = DEPLOYMENT["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
# Of the compose file these have values that .env may change.
_OF_A_CLUSTER = {"DAGSTER_PG_HOST": "postgres", "BACKTEST_LOG_FORMAT": "json"}


def test_image_command_and_environment_are_those_of_compose() -> None:
    assert CONTAINER["image"] == WORKER["image"]
    assert CONTAINER["args"][:2] == WORKER["command"][:2] == ["backtest", "worker"]
    assert "command" not in CONTAINER  # it would replace what the image starts with
    told = {one["name"]: one["value"] for one in CONTAINER["env"]}
    assert all(isinstance(value, str) for value in told.values())  # Kubernetes refuses numbers
    assert {name: WORKER["environment"][name] for name in told} | _OF_A_CLUSTER == told


def test_probes_ask_what_compose_asks() -> None:
    asked = WORKER["healthcheck"]["test"][1:]
    for probe in ("readinessProbe", "livenessProbe"):
        assert CONTAINER[probe]["exec"]["command"] == asked


def test_a_worker_may_do_no_more_than_in_compose_and_writes_where_it_has_to() -> None:
    assert CONTAINER["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert 0 not in POD["securityContext"].values()
    assert CONTAINER["resources"]["limits"]["memory"] == "4Gi"
    mounts = {one["mountPath"]: one for one in CONTAINER["volumeMounts"]}
    assert {path for path, one in mounts.items() if not one.get("readOnly")} == {"/data", "/tmp"}  # noqa: S108  a pod's
    assert {one["name"] for one in CONTAINER["volumeMounts"]} == {one["name"] for one in POD["volumes"]}
    [secret] = [one["secret"] for one in POD["volumes"] if "secret" in one]
    assert secret["defaultMode"] == 0o400  # YAML 1.1, as Kubernetes reads it, and it is no decimal number
    assert (
        DEPLOYMENT["spec"]["selector"]["matchLabels"] == DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    )
