"""The environment, read once, typed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.request_model import problems_of
from backtest_pipeline.model.time_zones import known_zone

_SECRETS = ("backtest_token", "backtest_tokens", "backtest_proxy_secret", "backtest_broker_url")
# What the web server and the clients need to know, and nobody else: no worker's environment has them.
SECRET_VARIABLES = tuple(f"{name}{ending}" for name in map(str.upper, _SECRETS) for ending in ("", "_FILE"))


class SettingsInvalid(BacktestError):
    """An environment variable has a value that cannot be used."""


class Settings(BaseModel):
    """What operators set through environment variables; each is described in `.env.sample`.

    What is given by name comes before the environment. Pydantic's own settings would take a fifth of the
    time of every command to import.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True)

    data_root: Path = Field(Path("data"), description="candles and results")
    task_result_ttl_days: int = Field(7, ge=0)
    run_record_ttl_days: int = Field(30, ge=0)
    cleanup_schedule: str = Field("0 3 * * *", description="cron, in CANDLE_TIMEZONE")
    candle_update_schedule: str = Field("5 * * * *", description="cron, in CANDLE_TIMEZONE")
    candle_timezone: str = "UTC"
    backtest_url: str = "http://127.0.0.1:3000"
    backtest_strategies: str = ""
    backtest_token: str = Field("", repr=False)
    backtest_token_file: Path | None = None
    backtest_tokens: str = Field("", repr=False, description="name:role:token, by commas or lines")
    backtest_tokens_file: Path | None = None
    backtest_proxy_secret: str = Field("", repr=False)
    backtest_proxy_secret_file: Path | None = None
    backtest_hosts: str = ""
    backtest_body_limit_bytes: int = Field(1_048_576, ge=1_024)
    backtest_requests_per_second: float = Field(
        50, ge=0, description="of each user with a token; 0: any number"
    )
    backtest_least_free_bytes: int = Field(1_000_000_000, ge=0)
    reports_ahead: bool = Field(True, description="statistics, picture and report before anybody asks")
    sweep_processes: int = Field(0, ge=0, le=1_024, description="how many work on a sweep; 0: every core's")
    exchange_urls: str = Field("", description="exchange=URL, by commas: asked instead of its own hosts")
    backtest_broker_url: str = Field("", repr=False, description="redis://…; empty: all on this machine")
    backtest_broker_url_file: Path | None = None
    broker_visibility_timeout_s: int = Field(
        86_400, ge=1, description="a message that nobody has acknowledged comes again after it"
    )
    run_log_folder: Path | None = Field(None, description="what runs print; empty: see `run_logs`")
    backtest_log_format: Literal["colored", "json"] = "colored"
    alert_urls: str = Field("", repr=False)
    dagster_home: Path = Field(default_factory=lambda: Path.home() / ".backtest")

    def __init__(self, **given: Any) -> None:
        """Reads the environment, in which a variable's name may be in capitals or not."""
        fields = type(self).model_fields
        found = {name.lower(): value for name, value in os.environ.items() if name.lower() in fields}
        super().__init__(**found | given)

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: Any) -> Any:
        """A secret that `…_FILE` points to; both are used where both are set."""
        if not isinstance(values, Mapping):
            return values
        values = dict(values)
        for name in _SECRETS:
            path = values.pop(f"{name}_file", None)
            if path:
                given = (str(values.get(name) or ""), _content(Path(path), f"{name}_file"))
                values[name] = "\n".join(part.strip() for part in given if part.strip())
                values[f"{name}_file"] = path
        return values

    @field_validator("candle_timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        known_zone(name)
        return name

    @field_validator("exchange_urls")
    @classmethod
    def _exchange_and_url(cls, text: str) -> str:
        for pair in text.split(","):
            name, _, url = pair.strip().partition("=")
            if pair.strip() and not (name and url.startswith(("http://", "https://"))):
                raise ValueError(f"{pair.strip()!r} is not like upbit=https://sg-api.upbit.com")
        return text

    @field_validator("backtest_broker_url")
    @classmethod
    def _redis(cls, url: str) -> str:
        if url and not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("it is not like redis://:password@host:6379/0")
        return url

    @field_validator("run_log_folder", mode="before")
    @classmethod
    def _folder_or_none(cls, path: Any) -> Any:
        return Path(path).expanduser().absolute() if path else None

    @field_validator("data_root", "dagster_home")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @property
    def run_logs(self) -> Path | None:
        """Where what runs print is kept, for all machines to read; `None`: in the instance's own folder."""
        if self.run_log_folder is None and self.backtest_broker_url:
            return self.data_root / ".run_logs"
        return self.run_log_folder

    @property
    def code_lock(self) -> Path:
        """A file that a code server holds locked for its whole life, its process id in it."""
        return self.dagster_home / "code.lock"

    @property
    def strategy_modules(self) -> list[str]:
        """Modules of the operator's own strategies."""
        return [module.strip() for module in self.backtest_strategies.split(",") if module.strip()]

    @property
    def exchange_hosts(self) -> dict[str, str]:
        """By exchange, what is asked instead of its own hosts."""
        pairs = (pair.partition("=") for pair in self.exchange_urls.split(",") if pair.strip())
        return {name.strip(): url.strip() for name, _, url in pairs}

    @property
    def hosts(self) -> list[str]:
        """Further hosts that the web server answers for."""
        return [host.strip() for host in self.backtest_hosts.split(",") if host.strip()]


@cache
def get_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsInvalid: a variable has a value that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(f"{field.upper()}: {problem}" for field, problem in problems_of(error))
        raise SettingsInvalid(f"set these environment variables right: {problems}") from None


def forget_secrets() -> None:
    """Takes out of this process's environment what strategies have no business with."""
    for secret in (*SECRET_VARIABLES, "ALERT_URLS"):
        os.environ.pop(secret, None)


def _content(path: Path, name: str) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name.upper()}: cannot read {path}: {error}") from error
