"""docker-compose.yml as it is written: whole, guarded, and known to .env.sample."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from backtest_pipeline.settings import SECRET_VARIABLES, Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CLUSTER: dict[str, Any] = yaml.safe_load((ROOT / "scripts/deploy/first_host.yml").read_text())
# Who may have variables in .env.
READERS = ("docker-compose.yml", "scripts/deploy/first_host.yml", "scripts/deploy/prepare")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ASSIGNMENT = re.compile(r"^(?:# )?([A-Z][A-Z0-9_]*)=")
# What a service must not be able to do or to do without; one line each in docker-compose.yml.
GUARDS = {
    "user",
    "read_only",
    "cap_drop",
    "security_opt",
    "restart",
    "logging",
    "mem_limit",
    "stop_grace_period",
}


def _sampled() -> set[str]:
    lines = (ROOT / ".env.sample").read_text().splitlines()
    return {match[1] for line in lines if (match := ASSIGNMENT.match(line))}


def _used() -> set[str]:
    return {
        name for file in READERS for name in re.findall(r"\$\{([A-Z][A-Z0-9_]+)", (ROOT / file).read_text())
    }


def test_the_sample_has_every_variable_and_no_other() -> None:
    """Settings, what Dagster reads, and what compose files and `prepare` take from outside."""
    settings = {name.upper() for name in Settings.model_fields}
    of_dagster = {
        "DAGSTER_HOME",
        *(f"DAGSTER_PG_{name}" for name in ("HOST", "PORT", "USERNAME", "PASSWORD", "DB")),
    }
    # The sample tells of …_FILE once, in the words before BACKTEST_TOKENS.
    files = {name for name in SECRET_VARIABLES if name.endswith("_FILE")}
    assert _sampled() == (settings - files) | of_dagster | _used()
    assert all(name in (ROOT / ".env.sample").read_text() for name in files)


def test_every_setting_of_the_pipeline_reaches_a_service() -> None:
    """One that .env may hold and that no service is given would be ignored without a word."""
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}
    by_file = {name.removesuffix("_FILE") for name in given if name.endswith("_FILE")}
    of_clients = {"BACKTEST_TOKEN", "BACKTEST_TOKEN_FILE"}
    assert {name.upper() for name in Settings.model_fields} <= given | by_file | of_clients


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_guarded(name: str) -> None:
    service = SERVICES[name]
    once = {"stop_grace_period"} if name == "setup" else set()
    assert GUARDS - set(service) == once
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not str(service["user"]).startswith("0")
    assert ("healthcheck" in service) == (name != "setup")


def test_only_the_proxy_is_reached_from_outside_and_only_the_guards_know_the_logins() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    holders = {
        secret: {name for name, service in SERVICES.items() if secret in service.get("secrets", [])}
        for secret in COMPOSE["secrets"]
    }
    assert holders["tokens"] == holders["proxy_secret"] == {"web", "viewer"}
    assert holders["users"] == holders["viewers"] == holders["proxy_header"] == {"proxy"}
    assert holders["postgres_password"] == {"postgres"}
    assert holders["pgpass"] == {"setup", "code", "daemon", "web", "viewer", "worker"}
    assert holders["broker_url"] == {"daemon", "web", "viewer", "worker", "flower"}
    assert holders["redis_conf"] == {"redis"}
    told = str(SERVICES["code"]["environment"])
    assert not any(name in told for name in SECRET_VARIABLES)
    assert SERVICES["code"]["environment"]["DAGSTER_PG_PASSWORD"] == ""
    assert COMPOSE["networks"]["database"] == COMPOSE["networks"]["broker"] == {"internal": True}
    assert SERVICES["redis"]["networks"] == ["broker"]
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {
        "redis", "worker", "flower",
    }  # fmt: skip
    assert "database" not in SERVICES["proxy"]["networks"]


def test_further_hosts_reach_database_and_broker_at_one_address_only() -> None:
    assert {name: set(service) for name, service in CLUSTER["services"].items()} == {
        "postgres": {"networks", "ports"},
        "redis": {"networks", "ports"},
    }
    for name, port in (("postgres", "5432"), ("redis", "6379")):
        [published] = CLUSTER["services"][name]["ports"]
        # Without an address compose says what is missing; it would publish the port everywhere.
        assert re.fullmatch(rf"\$\{{BACKTEST_CLUSTER_ADDRESS:\?[^}}]+\}}:{port}:{port}", published)
        assert SERVICES[name]["expose"] == [port]


def test_images_are_pinned_and_the_database_has_the_programs_of_its_own_version() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    for image in [*bases, *(service["image"] for service in SERVICES.values())]:
        assert re.fullmatch(r"[a-z-]+:\d+\.\d+(\.\d+)?(-[a-z-]+)?", image), image
    major = SERVICES["postgres"]["image"].partition(":")[2].partition(".")[0]
    assert f"postgresql-client-{major} " in dockerfile


def test_workers_find_a_broker_only_once_they_are_wanted_and_its_password_stays(tmp_path: Path) -> None:
    script, env = ROOT / "scripts" / "deploy" / "prepare", {"PATH": os.environ["PATH"]}

    def prepared(*words: str) -> tuple[str, str]:
        subprocess.run([script, *words], cwd=tmp_path, env=env, check=True, capture_output=True)
        secrets = tmp_path / "secrets"
        return (secrets / "redis_conf").read_text().strip(), (secrets / "broker_url").read_text().strip()

    line, url = prepared()
    assert url == ""
    assert Settings(backtest_broker_url_file=tmp_path / "secrets" / "broker_url").backtest_broker_url == ""
    password = line.removeprefix("requirepass ")
    assert len(password) >= 40
    assert prepared("cluster") == (line, f"redis://:{password}@redis:6379/0")
    assert prepared() == (line, f"redis://:{password}@redis:6379/0")
