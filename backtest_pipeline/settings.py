"""The environment, read once, typed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.request import problems_of


class SettingsInvalid(BacktestError):
    """An environment variable has a value that cannot be used."""


class Settings(BaseSettings):
    """What operators set through environment variables; each is described in `.env.sample`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    data_root: Path = Field(Path("data"), description="candles and results")
    task_result_ttl_days: int = Field(7, ge=0)
    candle_timezone: str = "UTC"
    backtest_url: str = "http://127.0.0.1:3000"
    backtest_strategies: str = ""
    backtest_token: str = ""
    alert_urls: str = ""
    dagster_home: Path = Field(default_factory=lambda: Path.home() / ".backtest")

    @field_validator("candle_timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is no time zone; write one like UTC or Asia/Seoul") from error
        return name

    @field_validator("data_root", "dagster_home")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @property
    def strategy_modules(self) -> list[str]:
        """Modules of the operator's own strategies."""
        return [module.strip() for module in self.backtest_strategies.split(",") if module.strip()]


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
