"""The manifest of docs/deployment.md in a pod of podman, played without a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from backtest_pipeline_tests.deploy.images import ROOT
from backtest_pipeline_tests.deploy.project import OPERATOR, Project

SECRETS = ("pgpass", "broker_url")
NETWORKS = ("database", "broker")


def manifest() -> str:
    """The deployment as the page has it."""
    page = (ROOT / "docs/deployment.md").read_text()
    [found] = [
        text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "kind: Deployment" in text
    ]
    return str(found)


@contextmanager
def played(project: Project) -> Iterator[str]:
    """The deployment's pod, which takes runs of a deployment of compose; yields its worker's container.

    What a cluster has of its own is made first: the volume and the secret.
    """
    deployment: dict[str, Any] = yaml.safe_load(manifest())
    deployment["spec"]["replicas"] = 1
    of_pod = deployment["spec"]["template"]["spec"]
    of_pod["securityContext"] = dict.fromkeys(of_pod["securityContext"], OPERATOR)  # to whom the data belong
    [secrets] = [one["secret"] for one in of_pod["volumes"] if "secret" in one]
    secrets["optional"] = False  # as it is where nothing is said, at which podman 4.3 stumbles
    # Kubernetes wants the content in base64, podman 4.3 as it is.
    data = {name: (project.secrets / name).read_text() for name in SECRETS}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "backtest-secrets"},
        "type": "Opaque",
        "data": data,
    }
    engine, file, kept = project.engine, project.engine.folder / "worker.yaml", project.folder / "secret.yaml"
    file.write_text(yaml.safe_dump(deployment))
    kept.write_text(yaml.safe_dump(secret))
    options = [
        word for one in ("type=none", "o=bind", f"device={project.data_root}") for word in ("--opt", one)
    ]
    networks = [word for one in NETWORKS for word in ("--network", f"{project.name}_{one}")]
    try:
        engine("volume", "create", *options, "backtest-data")
        engine("secret", "create", "backtest-secrets", kept)
        engine("kube", "play", *networks, file)
        names = engine("ps", "--format", "{{.Names}}", "--filter", "name=backtest-worker").split()
        [worker] = [name for name in names if name.endswith("-worker")]
        yield worker
    finally:
        engine("kube", "down", file, check=False)
        engine("secret", "rm", "backtest-secrets", check=False)
        engine("volume", "rm", "--force", "backtest-data", "backtest-secrets", check=False)
        kept.unlink(missing_ok=True)
