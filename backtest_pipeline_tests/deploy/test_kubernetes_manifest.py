"""scripts/deploy/kubernetes.yaml says what docker-compose.yml says."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from backtest_pipeline_tests.deploy import kube
from backtest_pipeline_tests.deploy.images import ROOT

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
# What a pod calls otherwise than a container of compose, and what .env may change there.
OWN = {
    "DAGSTER_HOME": "/tmp/dagster_home",  # noqa: S108  a pod's
    "DAGSTER_PG_HOST": "postgres",
    "PGPASSFILE": "/run/secrets/database/pgpass",
    "BACKTEST_CODE_HOST": "backtest-code",
    "BACKTEST_LOG_FORMAT": "json",
    "RUN_LOG_FOLDER": "/data/.run_logs",
}


def _pod(part: str) -> dict[str, Any]:
    pod: dict[str, Any] = kube.named("Deployment", f"backtest-{part}")["spec"]["template"]["spec"]
    return pod


def _container(part: str) -> dict[str, Any]:
    [container] = _pod(part)["containers"]
    assert container["name"] == part
    return dict(container)


def test_there_are_the_deployments_of_the_page_and_one_daemon() -> None:
    known = [(one["kind"], one["metadata"]["name"].removeprefix("backtest-")) for one in kube.manifests()]
    assert [name for kind, name in known if kind == "Deployment"] == list(kube.PARTS)
    assert [name for kind, name in known if kind == "Service"] == ["code", "web"]
    for part in ("code", "daemon", "web"):
        spec = kube.named("Deployment", f"backtest-{part}")["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})  # never two daemons


def test_the_environment_is_that_of_compose() -> None:
    told = kube.named("ConfigMap", "backtest-environment")["data"]
    assert all(isinstance(value, str) for value in told.values())  # Kubernetes refuses numbers
    assert {name: SERVICES["worker"]["environment"][name] for name in told} | OWN == told


@pytest.mark.parametrize("part", kube.PARTS)
def test_image_command_and_probe_are_those_of_compose(part: str) -> None:
    container, service = _container(part), SERVICES[part]
    assert container["image"] == service["image"]
    assert "command" not in container  # it would replace what the image starts with
    wanted = [word for word in service["command"] if "$" not in word]
    assert [word for word in container["args"] if word in wanted] == wanted
    assert container["readinessProbe"]["exec"]["command"] == service["healthcheck"]["test"][1:]
    alive = container["livenessProbe"]["exec"]["command"]
    assert alive == service["healthcheck"]["test"][1 : len(alive) + 1]
    assert "http" not in alive  # what another service lacks is no reason to start this one again


@pytest.mark.parametrize("part", kube.PARTS)
def test_a_pod_may_do_no_more_than_in_compose_and_knows_no_more_secrets(part: str) -> None:
    pod, service = _pod(part), SERVICES[part]
    assert 0 not in pod["securityContext"].values()
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"].endswith("Gi")
        writable = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
        may_write_data = any(one.endswith(":/data") for one in service["volumes"])
        assert writable <= {"/tmp", *(["/data"] if may_write_data else [])}  # noqa: S108  a pod's
    labels = kube.named("Deployment", f"backtest-{part}")["spec"]
    assert labels["selector"]["matchLabels"] == labels["template"]["metadata"]["labels"]
    secrets = [one["secret"] for one in pod["volumes"] if "secret" in one]
    assert {kube.SECRETS[one["secretName"]] for one in secrets} <= set(service["secrets"])
    # YAML 1.1, as Kubernetes reads it: no decimal number.
    assert {one["defaultMode"] for one in secrets} == {0o400}
