"""Everything that can go wrong, as types that carry their facts; a module here for each branch.

    BacktestError
    ├── RequestInvalid            the request cannot be run as it stands
    │   ├── StrategyUnknown
    │   │   └── StrategyNotOnServer
    │   └── ParamsInvalid
    ├── CandlesError              the candles cannot be used
    │   ├── SymbolsUnknown
    │   ├── CandlesMissing
    │   ├── CandlesInvalid
    │   ├── DetailMissing
    │   ├── FundingMissing
    │   ├── CandleFileUnreadable
    │   └── SymbolRecordInvalid
    ├── SourceError               an exchange does not give what was asked for
    │   ├── ExchangeUnknown
    │   ├── MarketsUnknown
    │   ├── SourceLacks
    │   ├── SourceUnreachable
    │   ├── SourceBlocked
    │   ├── SourceRefused
    │   └── SymbolTaken
    ├── DownloadStopped           a download was told to stop
    ├── CodeDiffers               the code that would run is not what was asked for
    ├── StorageFull               the disk has no room for the result
    ├── StrategyFaulty            a strategy broke its promise
    ├── TrialsFailed              not one trial of a sweep could be run
    ├── WorkersDied               processes that compute were killed again and again
    ├── WorkerUnfit               a machine would compute something else than the others
    ├── BrokerUnusable            BACKTEST_BROKER_URL cannot be used here
    ├── VolumeUnfit               results would not be safe on the volume
    ├── TaskError                 a task is in another state than the caller needs
    │   ├── TaskUnknown
    │   ├── TaskAmbiguous
    │   ├── TaskFailed
    │   ├── TaskRepeated
    │   ├── AttemptSuperseded
    │   ├── ResultMissing
    │   │   └── ResultElsewhere
    │   ├── ResultVanished
    │   ├── ResultDamaged
    │   ├── TaskNotCancelled
    │   └── WaitTimedOut
    ├── ReportMissing             a result has nothing to draw it by
    ├── SubmissionsFailed         some of many requests were not taken
    ├── FileThere                 a file would be overwritten
    ├── FileUnusable              a file that was named cannot be read or written
    ├── ArchiveRefused            an archive is damaged, of another program, or in conflict with what is here
    └── ServiceError              the web server or the pipeline behind it
        ├── AddressInvalid
        ├── ServerUnreachable
        │   └── ServerSilent
        ├── ServerRefused
        │   └── ServerTroubled
        │       └── ServerBusy
        ├── InternalsChanged
        ├── LockNotAcquired
        ├── DatabaseMistaken
        └── ServiceNotReady

Beside it, where only one module raises them: `settings.SettingsInvalid`, `candles.demo.DemoMissing`,
`candles.sources.ccxt_client.ExchangesMissing`,
`web.access.hosts.HostsInvalid`, `web.access.identity.AccessInvalid` and `BindRefused`,
`web.access.refusal.Refusal` and `dagster_internals.web_server_command.Unguarded`.

A message says what is wrong and what to do. `retryable` says whether the same request may succeed
later without anyone changing anything.
"""

from __future__ import annotations

from backtest_pipeline.model.errors.backtest_error import BacktestError
from backtest_pipeline.model.errors.candle_errors import (
    CandleFileUnreadable,
    CandlesError,
    CandlesInvalid,
    CandlesMissing,
    DetailMissing,
    FundingMissing,
    SymbolRecordInvalid,
    SymbolsUnknown,
)
from backtest_pipeline.model.errors.file_errors import ArchiveRefused, FileThere, FileUnusable, StorageFull
from backtest_pipeline.model.errors.request_errors import (
    CodeDiffers,
    ParamsInvalid,
    RequestInvalid,
    StrategyFaulty,
    StrategyNotOnServer,
    StrategyUnknown,
    TrialsFailed,
)
from backtest_pipeline.model.errors.service_errors import (
    AddressInvalid,
    DatabaseMistaken,
    InternalsChanged,
    LockNotAcquired,
    ServerBusy,
    ServerRefused,
    ServerSilent,
    ServerTroubled,
    ServerUnreachable,
    ServiceError,
    ServiceNotReady,
    WorkersDied,
)
from backtest_pipeline.model.errors.source_errors import (
    DownloadStopped,
    ExchangeUnknown,
    MarketsUnknown,
    SourceBlocked,
    SourceError,
    SourceLacks,
    SourceRefused,
    SourceUnreachable,
    SymbolTaken,
)
from backtest_pipeline.model.errors.task_errors import (
    AttemptSuperseded,
    ReportMissing,
    ResultDamaged,
    ResultElsewhere,
    ResultMissing,
    ResultVanished,
    SubmissionsFailed,
    TaskAmbiguous,
    TaskError,
    TaskFailed,
    TaskNotCancelled,
    TaskRepeated,
    TaskUnknown,
    WaitTimedOut,
)
from backtest_pipeline.model.errors.worker_errors import BrokerUnusable, VolumeUnfit, WorkerUnfit

__all__ = [
    "AddressInvalid",
    "ArchiveRefused",
    "AttemptSuperseded",
    "BacktestError",
    "BrokerUnusable",
    "CandleFileUnreadable",
    "CandlesError",
    "CandlesInvalid",
    "CandlesMissing",
    "CodeDiffers",
    "DatabaseMistaken",
    "DetailMissing",
    "DownloadStopped",
    "ExchangeUnknown",
    "FileThere",
    "FileUnusable",
    "FundingMissing",
    "InternalsChanged",
    "LockNotAcquired",
    "MarketsUnknown",
    "ParamsInvalid",
    "ReportMissing",
    "RequestInvalid",
    "ResultDamaged",
    "ResultElsewhere",
    "ResultMissing",
    "ResultVanished",
    "ServerBusy",
    "ServerRefused",
    "ServerSilent",
    "ServerTroubled",
    "ServerUnreachable",
    "ServiceError",
    "ServiceNotReady",
    "SourceBlocked",
    "SourceError",
    "SourceLacks",
    "SourceRefused",
    "SourceUnreachable",
    "StorageFull",
    "StrategyFaulty",
    "StrategyNotOnServer",
    "StrategyUnknown",
    "SubmissionsFailed",
    "SymbolRecordInvalid",
    "SymbolTaken",
    "SymbolsUnknown",
    "TaskAmbiguous",
    "TaskError",
    "TaskFailed",
    "TaskNotCancelled",
    "TaskRepeated",
    "TaskUnknown",
    "TrialsFailed",
    "VolumeUnfit",
    "WaitTimedOut",
    "WorkerUnfit",
    "WorkersDied",
]

for _name in __all__:  # tracebacks and answers of the server name each by the path that it is imported from
    globals()[_name].__module__ = __name__
