"""The manifests of scripts/deploy/kubernetes.yaml in pods of podman, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import yaml

from backtest_pipeline import BacktestClient
from backtest_pipeline_tests.acceptance.wires import wire
from backtest_pipeline_tests.deploy.images import ROOT
from backtest_pipeline_tests.deploy.project import OPERATOR, Project
from backtest_pipeline_tests.polling import until

FILE = ROOT / "scripts/deploy/kubernetes.yaml"
SECRETS = {"backtest-database": "pgpass", "backtest-broker": "broker_url", "backtest-tokens": "tokens"}
"""The secrets and the files of `secrets/` that are in them."""
PARTS = ("code", "daemon", "web", "worker")
"""The deployments, in an order in which each finds what it needs."""
_NETWORKS = ("database", "broker")
_WEB_PORT = 3000
_PATIENCE_S = 300


def manifests() -> list[dict[str, Any]]:
    """All documents of the file."""
    return list(yaml.safe_load_all(FILE.read_text()))


def named(kind: str, name: str) -> dict[str, Any]:
    """The document of a kind and a name."""
    [found] = [one for one in manifests() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


class Pods:
    """The deployments of the file, each as a pod with the database and the broker of a compose project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._engine = project.engine
        self._environment = named("ConfigMap", "backtest-environment")

    def container(self, part: str) -> str:
        """The name of a deployment's container."""
        return f"backtest-{part}-pod-0-{part}"

    def host(self, part: str) -> str:
        """What the container calls its machine."""
        return self._engine("exec", self.container(part), "hostname").strip()

    def is_well(self, part: str) -> bool:
        """Whether the container's probe says so."""
        self._engine("healthcheck", "run", self.container(part), check=False)
        return bool(self._engine.inspect(self.container(part))["State"]["Health"]["Status"] == "healthy")

    def client(self, stack: ExitStack) -> BacktestClient:
        """Reaches the web server by a port of this machine, as `kubectl port-forward` lets one."""
        port = stack.enter_context(wire(_WEB_PORT, to=self._address("web"))).port
        made = BacktestClient(
            f"http://127.0.0.1:{port}",
            token=self._project.token,
            data_root=self._project.data_root,
            patience_s=_PATIENCE_S,
        )
        return stack.enter_context(made)

    def _address(self, part: str) -> str:
        infra = self._engine.inspect(self.container(part))["Pod"]
        pod = self._engine("pod", "inspect", "--format", "{{.InfraContainerID}}", infra).strip()
        networks = self._engine.inspect(pod)["NetworkSettings"]["Networks"]
        return str(networks[f"{self._project.name}_database"]["IPAddress"])

    def play(self, stack: ExitStack, part: str) -> None:
        """Starts a deployment's pod and waits until it is well; it goes with the stack."""
        if part != "code":
            self._environment["data"]["BACKTEST_CODE_HOST"] = self._address("code")  # there are no services
        file = self._engine.folder / f"{part}.yaml"
        file.write_text(yaml.safe_dump_all([self._environment, _for_podman(part)]))
        networks = [word for one in _NETWORKS for word in ("--network", f"{self._project.name}_{one}")]
        stack.callback(self._engine, "kube", "down", file, check=False)
        self._engine("kube", "play", *networks, file)
        until(lambda: self.is_well(part), f"the pod of {part} to be well", _PATIENCE_S)


def _for_podman(part: str) -> dict[str, Any]:
    """A deployment for the operator who has the data, with one pod.

    podman 4.3 publishes every port on this machine, and does not wait for a first container in a pod whose
    containers see each other's processes; so what that would do is done before the other one's command.
    """
    deployment = named("Deployment", f"backtest-{part}")
    deployment["spec"]["replicas"] = 1
    pod = deployment["spec"]["template"]["spec"]
    pod["securityContext"] = dict.fromkeys(pod["securityContext"], OPERATOR)
    [container] = pod["containers"]
    container.pop("ports", None)
    for first in pod.pop("initContainers", []):
        before = f'{" ".join(first["args"])} && exec "$@"'
        container["args"] = ["sh", "-c", before, "sh", *container["args"]]
    return deployment


@contextmanager
def pods(project: Project) -> Iterator[tuple[Pods, ExitStack]]:
    """Nothing but what a cluster has of its own: the volume and the secrets."""
    engine, file = project.engine, project.folder / "secret.yaml"
    with ExitStack() as stack:
        stack.callback(engine, "volume", "rm", "--force", "backtest-data", *SECRETS, check=False)
        bound = ("type=none", "o=bind", f"device={project.data_root}")
        engine("volume", "create", *(word for one in bound for word in ("--opt", one)), "backtest-data")
        for name, content in SECRETS.items():
            # Kubernetes wants the content in base64, podman 4.3 as it is.
            data = {content: (project.secrets / content).read_text()}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
            file.write_text(yaml.safe_dump(secret))
            stack.callback(engine, "secret", "rm", name, check=False)
            engine("secret", "create", name, file)
            file.unlink()
        with ExitStack() as played:
            yield Pods(project), played
