"""Everything that can go wrong, as types that carry their facts.

    BacktestError
    ├── RequestInvalid            the request cannot be run as it stands
    │   ├── StrategyUnknown
    │   └── ParamsInvalid
    ├── CandlesError              the candles cannot be used
    │   ├── SymbolsUnknown
    │   ├── CandlesMissing
    │   ├── CandlesInvalid
    │   ├── CandleFileUnreadable
    │   └── SymbolRecordInvalid
    ├── CodeDiffers               the code that would run is not what was asked for
    ├── StorageFull               the disk has no room for the result
    ├── StrategyFaulty            a strategy broke its promise
    ├── TrialsFailed              not one trial of a sweep could be run
    ├── WorkersDied               processes that compute were killed again and again
    ├── TaskError                 a task is not what the caller hoped
    │   ├── TaskUnknown
    │   ├── TaskFailed
    │   ├── TaskRepeated
    │   ├── AttemptSuperseded
    │   ├── ResultMissing
    │   ├── ResultVanished
    │   ├── ResultDamaged
    │   ├── TaskNotCancelled
    │   └── WaitTimedOut
    ├── SubmissionsFailed         some of many requests were not taken
    ├── FileThere                 a file would be overwritten
    ├── FileUnusable              a file that was named cannot be read or written
    ├── ArchiveRefused            an archive is none of ours, damaged, or in conflict with what is here
    └── ServiceError              the web server or the pipeline behind it
        ├── AddressInvalid
        ├── ServerUnreachable
        ├── ServerRefused
        │   └── ServerTroubled
        │       └── ServerBusy
        ├── InternalsChanged
        ├── LockNotAcquired
        ├── DatabaseMistaken
        └── ServiceNotReady

Beside it, where only one module raises them: `settings.SettingsInvalid`, `candles.demo.DemoMissing`,
`web.access.hosts.HostsInvalid`, `web.access.identity.AccessInvalid` and `BindRefused`,
`web.access.refusal.Refusal` and `dagster_internals.web_server_command.Unguarded`.

A message says what is wrong and what to do. `retryable` tells whether the same request may succeed
later without anyone changing anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


class BacktestError(Exception):
    """The root of every error that this package raises on purpose."""

    retryable = False


class RequestInvalid(BacktestError):
    """A request breaks one or more rules.

    Attributes:
        problems: `(field, what is wrong with it)` pairs, at least one.
    """

    def __init__(
        self, problems: Sequence[tuple[str, str]], *, heading: str = "this request cannot be run"
    ) -> None:
        self.problems = list(problems)
        lines = "; ".join(f"{field}: {problem}" if field else problem for field, problem in self.problems)
        super().__init__(f"{heading}: {lines}")


class StrategyUnknown(RequestInvalid):
    """No strategy has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = sorted(known)
        super().__init__([("strategy", f"there is no {name!r}; choose one of {', '.join(self.known)}")])


class ParamsInvalid(RequestInvalid):
    """A strategy's parameters break its parameter model."""

    def __init__(self, strategy: str, problems: Sequence[tuple[str, str]], known: Sequence[str]) -> None:
        self.strategy = strategy
        self.known = list(known)
        takes = ", ".join(self.known) or "no parameters"
        super().__init__(problems, heading=f"{strategy} cannot use these parameters (it takes {takes})")


class CandlesError(BacktestError):
    """The candles that a request needs are missing or unusable."""


class SymbolsUnknown(CandlesError):
    """The store has no candles of these symbols in this timeframe.

    Attributes:
        timeframe: the timeframe asked for, or empty where any would have done.
        known: symbols that the store has in this timeframe.
        timeframes: timeframes of which the store has candles of any symbol.
    """

    def __init__(
        self, symbols: Sequence[str], timeframe: str, known: Sequence[str], timeframes: Sequence[str] = ()
    ) -> None:
        self.symbols = list(symbols)
        self.timeframe = timeframe
        self.known = sorted(known)
        self.timeframes = list(timeframes)
        if self.known:
            has = f"it has {_listed(self.known)}"
        elif self.timeframes:
            has = f"it has candles of {', '.join(self.timeframes)} only"
        else:
            has = "it is empty; see `backtest candles import --help`"
        candles = f"{timeframe} candles" if timeframe else "candles"
        super().__init__(f"the store has no {candles} of {', '.join(self.symbols)}; {has}")


class CandlesMissing(CandlesError):
    """A known symbol has no candles in the requested range.

    Attributes:
        asked: first and last moment of the request, as text.
        has: first and last candle that there is, as text, or none where the store's files hold no row.
        holder: who has them, as the message says it.
    """

    def __init__(
        self,
        symbol: str,
        timeframe: str,
        *,
        asked: tuple[str, str],
        has: tuple[str, str] | None,
        holder: str = "the store has",
    ) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.asked = asked
        self.has = has
        self.holder = holder
        super().__init__(
            f"no {symbol} {timeframe} candles from {asked[0]} to {asked[1]}; "
            + (f"{holder} {has[0]} to {has[1]}" if has else "its files hold no row")
        )


class CandlesInvalid(CandlesError):
    """Candles break a rule that the engine relies on.

    Attributes:
        row: zero-based position of the first offending row in the file or frame, or none.
        line: the row's line in a file of text, counted from one with all that stands above, or none.
    """

    def __init__(
        self,
        symbol: str,
        problem: str,
        *,
        source: str | Path,
        row: int | None = None,
        line: int | None = None,
    ) -> None:
        self.symbol = symbol
        self.problem = problem
        self.source = str(source)
        self.row = row
        self.line = line
        at = "" if row is None else f", row {row}"
        at += "" if line is None else f", line {line}"
        super().__init__(f"{symbol}: {problem} ({source}{at})")


class CandleFileUnreadable(CandlesError):
    """A candle file exists and cannot be read."""

    def __init__(
        self,
        symbol: str,
        path: str | Path,
        reason: str,
        *,
        advice: str = "restore the file, or delete it and import its candles again",
    ) -> None:
        self.symbol = symbol
        self.path = str(path)
        self.reason = reason
        super().__init__(f"{symbol}: cannot read {path}: {reason}; {advice}")


class SymbolRecordInvalid(CandlesError):
    """A symbol's `symbol.json` exists and cannot be used."""

    def __init__(self, symbol: str, path: str | Path, problem: str) -> None:
        self.symbol = symbol
        self.path = str(path)
        self.problem = problem
        super().__init__(
            f"{symbol}: {path} is no record of a symbol: {problem}; mend it, or delete it and record the "
            "calendar again with `backtest candles import --calendar`"
        )


class CodeDiffers(BacktestError):
    """A strategy's code here is not the submitter's, or no longer what is on disk; nothing was run.

    Attributes:
        strategy: the strategy's name.
        ours: digest of the code that would have run.
        wanted: digest of the submitter's code, or of what is on disk; none where that is not known.
    """

    def __init__(self, strategy: str, ours: str | None, wanted: str | None, problem: str) -> None:
        self.strategy = strategy
        self.ours = ours
        self.wanted = wanted
        super().__init__(f"{strategy}: {problem}")


class StorageFull(BacktestError):
    """The disk has less room than a result may take.

    Attributes:
        needed: bytes that the result may take.
        free: bytes that are free.
    """

    retryable = True

    def __init__(self, folder: str | Path, *, needed: int, free: int) -> None:
        self.folder = str(folder)
        self.needed = needed
        self.free = free
        super().__init__(
            f"{folder} has {free / 1e6:,.1f} MB free and the result may take {needed / 1e6:,.1f} MB; make "
            "room (`backtest doctor` shows what takes it, `backtest cleanup --older-than-days 1` deletes "
            "results)"
        )


class StrategyFaulty(BacktestError):
    """A strategy returned something else than signals as long as its candles, or raised."""

    def __init__(self, strategy: str, problem: str) -> None:
        self.strategy = strategy
        self.problem = problem
        super().__init__(f"strategy {strategy}: {problem}")


class TrialsFailed(BacktestError):
    """Trials of a sweep were run, and every one failed.

    Attributes:
        trials: how many failed.
        first: number of the first of them.
        problem: its message.
    """

    def __init__(self, trials: int, first: int, problem: str) -> None:
        self.trials = trials
        self.first = first
        self.problem = problem
        super().__init__(
            f"all {trials:,} trials that were run failed, the first of them trial {first}: {problem}"
        )


class WorkersDied(BacktestError):
    """Worker processes died one after another, mostly at the same work.

    Attributes:
        workers: how many.
        ended: how the last of them ended.
    """

    retryable = True

    def __init__(self, workers: int, ended: str) -> None:
        self.workers = workers
        self.ended = ended
        super().__init__(
            f"{workers} worker processes in a row have ended ({ended}) before their work was done; where the "
            "system kills them for want of memory (signal 9), lower SWEEP_PROCESSES or add memory"
        )


class TaskError(BacktestError):
    """A task is not in the state that the caller needs."""

    def __init__(self, task_id: str, message: str) -> None:
        self.task_id = task_id
        super().__init__(message)


class TaskUnknown(TaskError):
    """Neither the server nor the results folder knows this task."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id, f"there is no task {task_id!r}; `backtest list` shows the tasks there are")


class TaskFailed(TaskError):
    """A task ended in `failed` or `cancelled` where its result was wanted."""

    def __init__(self, task_id: str, state: str, reason: str) -> None:
        self.state = state
        self.reason = reason
        super().__init__(
            task_id, f"task {task_id} {state}: {reason}" if reason else f"task {task_id} {state}"
        )


class TaskRepeated(TaskError):
    """A task with the same idempotency key exists; `task_id` is that one."""

    def __init__(self, task_id: str, key: str) -> None:
        self.key = key
        super().__init__(task_id, f"task {task_id} already has the idempotency key {key!r}")


class AttemptSuperseded(TaskError):
    """A later attempt of the task has published; what this one has may not replace it."""

    def __init__(self, task_id: str, attempt: int, published: int) -> None:
        self.attempt = attempt
        self.published = published
        super().__init__(
            task_id, f"attempt {attempt} of task {task_id} comes too late: attempt {published} has published"
        )


class ResultMissing(TaskError):
    """A task has no published result."""

    def __init__(self, task_id: str, folder: str | Path, why: str) -> None:
        self.folder = str(folder)
        super().__init__(task_id, f"task {task_id} has no result in {folder}: {why}")


class ResultVanished(TaskError):
    """What an attempt has written or published is gone again, or in parts.

    Attributes:
        missing: names of the files that are not there.
    """

    retryable = True

    def __init__(self, task_id: str, folder: str | Path, missing: Sequence[str]) -> None:
        self.folder = str(folder)
        self.missing = list(missing)
        super().__init__(
            task_id,
            f"task {task_id}: what was written to {folder} is gone again ({_listed(self.missing)}); find "
            "what deletes or replaces folders below DATA_ROOT/tasks, then run the task again",
        )


class ResultDamaged(TaskError):
    """A published file differs from what its manifest says."""

    def __init__(self, task_id: str, file: str | Path, problem: str) -> None:
        self.file = str(file)
        self.problem = problem
        super().__init__(task_id, f"task {task_id}: {file}: {problem}")


class TaskNotCancelled(TaskError):
    """A task could not be cancelled in time and may go on."""

    retryable = True

    def __init__(self, task_id: str, state: str, problem: str) -> None:
        self.state = state
        self.problem = problem
        super().__init__(task_id, f"task {task_id} is still {state}: {problem}; cancel it again")


class WaitTimedOut(TaskError):
    """A task had not ended when the caller's patience had.

    Attributes:
        others: further tasks that were waited for and have not ended either.
    """

    retryable = True

    def __init__(self, task_id: str, state: str, waited_s: float, others: Sequence[str] = ()) -> None:
        self.state = state
        self.waited_s = waited_s
        self.others = list(others)
        also = f", as are {len(self.others)} more" if self.others else ""
        super().__init__(
            task_id, f"task {task_id} is still {state} after {waited_s:g} s{also}; wait again or cancel it"
        )


class SubmissionsFailed(BacktestError):
    """Some of many requests were not taken; the others were, and run.

    Attributes:
        task_ids: task of each request, in the order of the requests, none where it was not taken.
        failures: what went wrong, by position of the request.
        idempotency_keys: key of each request; submitting all again with them repeats none that was taken.
    """

    def __init__(
        self,
        task_ids: Sequence[str | None],
        failures: Mapping[int, BacktestError],
        idempotency_keys: Sequence[str],
    ) -> None:
        self.task_ids = list(task_ids)
        self.failures = dict(failures)
        self.idempotency_keys = list(idempotency_keys)
        self.retryable = all(error.retryable for error in self.failures.values())
        first, error = min(self.failures.items())
        super().__init__(
            f"{len(self.failures)} of {len(self.task_ids)} requests were not taken, the first of them number "
            f"{first + 1}: {error}"
        )


class FileThere(BacktestError):
    """A file would be overwritten that nobody has given up."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        super().__init__(f"{path} is there already; choose another name, or add --force to replace it")


class FileUnusable(BacktestError):
    """A file that somebody named cannot be read or written."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"{path}: {reason}; name a file that can be used")


class ArchiveRefused(BacktestError):
    """An archive cannot be imported; nothing of it was kept."""

    def __init__(self, path: str | Path, problem: str) -> None:
        self.path = str(path)
        self.problem = problem
        super().__init__(f"{path}: {problem}; nothing was imported")


class ServiceError(BacktestError):
    """The pipeline's own processes did not do what was asked of them."""


class AddressInvalid(ServiceError):
    """The web server's address is none."""

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        super().__init__(f"{url!r} is no address of a web server ({problem}); see BACKTEST_URL")


class ServerUnreachable(ServiceError):
    """Nothing answers at the web server's address."""

    retryable = True

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(f"no answer from {url} ({reason}); start it with `backtest up` or set BACKTEST_URL")


class ServerRefused(ServiceError):
    """The web server answered with an error."""

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        self.problem = problem
        super().__init__(f"{url} refused: {problem}")


class ServerTroubled(ServerRefused):
    """The web server answered with an error that may pass, as when its database restarts."""

    retryable = True


class ServerBusy(ServerTroubled):
    """This client's user sends more requests than the server lets one send.

    Attributes:
        retry_after_s: when the server takes the next one, in seconds.
    """

    def __init__(self, url: str, problem: str, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(url, problem)


class InternalsChanged(ServiceError):
    """A library has no longer what this package replaces, overrides or calls in it.

    Attributes:
        name: what is missing.
        library: the package that had it.
        installed: its version here.
        read_in: the version that this package was written for.
    """

    def __init__(self, name: str, problem: str, library: str, installed: str, read_in: str) -> None:
        self.name = name
        self.library = library
        self.installed = installed
        self.read_in = read_in
        super().__init__(
            f"{name} {problem}: {library} {installed} is installed, and {read_in} is what this version of "
            "backtest_pipeline knows; install what requirements.lock names"
        )


class LockNotAcquired(ServiceError):
    """Somebody else holds a lock; what needs it was not begun.

    Attributes:
        lock: what the lock is for.
        waited_s: how long it was waited for, in seconds.
    """

    retryable = True

    def __init__(self, lock: str, waited_s: float) -> None:
        self.lock = lock
        self.waited_s = waited_s
        super().__init__(
            f"the lock for {lock} is held by somebody else, waited {waited_s:g} s; try again, and where that "
            "goes on, restart the web server and the daemon: one of them hangs"
        )


class DatabaseMistaken(ServiceError):
    """A home's runs are in another database than the environment says."""

    def __init__(self, home: Path, *, on_postgres: bool) -> None:
        self.home = home
        self.on_postgres = on_postgres
        super().__init__(
            f"{home} keeps its runs in PostgreSQL, but DAGSTER_PG_HOST is not set here; set the five "
            "DAGSTER_PG_… variables as the service has them, "
            f"or delete {home / 'dagster.yaml'} to begin anew with SQLite"
            if on_postgres
            else f"{home} keeps its runs in SQLite, but DAGSTER_PG_HOST is set here; unset it, "
            "or move the service to PostgreSQL by `backtest up`"
        )


class ServiceNotReady(ServiceError):
    """The local service did not come up."""

    retryable = True

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
