"""Writes the JSON Schemas of what users read, from the models; with --check, fails where they differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from backtest_pipeline.model.manifest import Manifest
from backtest_pipeline.model.status import TaskStatus

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schemas"
MODELS: dict[str, type[BaseModel]] = {"manifest": Manifest, "task_status": TaskStatus}


def main() -> None:
    """Writes or compares, as the command line says."""
    check = "--check" in sys.argv[1:]
    FOLDER.mkdir(parents=True, exist_ok=True)
    stale = []
    for name, model in MODELS.items():
        path = FOLDER / f"{name}.schema.json"
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **model.model_json_schema(mode="serialization"),
        }
        text = json.dumps(schema, indent=2) + "\n"
        if check and (not path.exists() or path.read_text() != text):
            stale.append(path.name)
        elif not check:
            path.write_text(text)
    if stale:
        sys.exit(f"{', '.join(stale)} differ from the models; run scripts/schemas and commit the result")


if __name__ == "__main__":
    main()
