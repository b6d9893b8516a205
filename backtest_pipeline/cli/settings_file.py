"""The file `.env` in the folder where a command is started, which may set what the environment does not."""

from __future__ import annotations

import os


def read_settings_file() -> None:
    """Put what the file says of our settings and of PostgreSQL into the environment, where that says nothing.

    Raises:
        SettingsInvalid: the file cannot be read.
    """
    if not os.path.exists(".env"):  # noqa: PTH110  never raises; what reads one is imported where there is one
        return
    from dotenv import dotenv_values  # noqa: PLC0415  see above

    from backtest_pipeline.settings import Settings, SettingsInvalid  # noqa: PLC0415  see above

    ours = {name.upper() for name in Settings.model_fields}
    try:
        found = dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f".env: {error}; write it as text in UTF-8 that you may read") from error
    for name, value in found.items():
        if name in ours or name.startswith("DAGSTER_PG_"):
            os.environ.setdefault(name, value or "")
