"""How commands report completed tasks whose results are gone."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

from backtest_pipeline.sdk.client import BacktestClient
from backtest_pipeline.sdk.lost_results import EVERY, LostResults, lost_results
from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.layout import Layout

LOST = (
    "its result is gone, though it completed, no cleanup has deleted it and it has not expired; restore it "
    "from a backup, or submit it again"
)


def find_lost(settings: Settings, *, newest: int = EVERY) -> LostResults:
    """Asks the server, once, and looks into DATA_ROOT.

    Raises:
        ServiceError: the server does not answer.
    """
    with closing(BacktestClient(patience_s=0)) as client:
        return lost_results(
            client,
            Layout(settings.data_root),
            now=datetime.now(UTC),
            ttl_days=settings.task_result_ttl_days,
            newest=newest,
        )
