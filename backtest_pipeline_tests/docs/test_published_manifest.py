"""A manifest, once all that is added after completion is there, against its published schema."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import jsonschema
import pyarrow.parquet as pq

from backtest_pipeline import BacktestRequest
from backtest_pipeline_tests.acceptance.live import Pipeline
from backtest_pipeline_tests.deploy.settled import wait_for_report
from backtest_pipeline_tests.docs.pages import ROOT
from backtest_pipeline_tests.polling import PATIENCE_S

SCHEMA = ROOT / "docs" / "schemas" / "manifest.schema.json"


def test_a_manifest_keeps_its_schema_and_names_every_file_with_its_checksum(live: Pipeline) -> None:
    before = datetime.now(UTC)
    request = BacktestRequest(
        strategy="sma_cross",
        params={"fast": 10, "slow": 20},
        symbols=["AAPL", "MSFT"],
        labels={"for": "schema"},
    )
    with live.client() as client:
        task_id = client.wait(client.submit(request, reuse=False).task_id, timeout_s=PATIENCE_S).task_id
    folder = live.data_root / "tasks" / task_id
    wait_for_report(live.data_root, task_id)
    manifest = json.loads((folder / "manifest.json").read_text())
    jsonschema.validate(manifest, json.loads(SCHEMA.read_text()))

    assert manifest["task_id"] == task_id
    assert manifest["run_ids"] == [task_id]
    assert manifest["status"] == "completed"
    assert manifest["strategy_id"] == "sma_cross"
    assert manifest["robustness"]["trials"] >= 1
    listed = {file["path"]: file for file in manifest["result_files"]}
    assert {"equity.png", "report.html"} < listed.keys()
    assert {path.name for path in folder.iterdir()} == {*listed, "manifest.json"}
    for path, file in listed.items():
        content = (folder / path).read_bytes()
        assert (file["size_bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        rows = pq.read_metadata(folder / path).num_rows if path.endswith(".parquet") else None
        assert file["rows"] == rows
    told = [datetime.fromisoformat(manifest["timestamps"][name]) for name in ("submitted_at", "finished_at")]
    times = [moment.timestamp() for moment in told]
    assert before.timestamp() - 1 <= times[0] <= times[1] <= datetime.now(UTC).timestamp()
    assert [seen["symbol"] for seen in manifest["candles"]] == ["AAPL", "MSFT"]
    assert list(live.data_root.glob("tasks/.staging/*")) == []
