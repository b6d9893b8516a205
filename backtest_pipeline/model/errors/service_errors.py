"""The web server or the pipeline behind it did not do what was asked."""

from __future__ import annotations

from pathlib import Path

from backtest_pipeline.model.errors.backtest_error import BacktestError


class ServiceError(BacktestError):
    """The pipeline's own processes did not do what was asked of them."""


class AddressInvalid(ServiceError):
    """The web server's address cannot be one."""

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        super().__init__(f"{url!r} is no address of a web server ({problem}); see BACKTEST_URL")


class ServerUnreachable(ServiceError):
    """Nothing answers at the web server's address."""

    retryable = True

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(f"no answer from {url} ({reason}); start it with `backtest up` or set BACKTEST_URL")


class ServerSilent(ServerUnreachable):
    """Something listens at the web server's address and answers nothing.

    Attributes:
        waited_s: how long it was waited for, in seconds.
    """

    def __init__(self, url: str, waited_s: float) -> None:
        self.url = url
        self.waited_s = waited_s
        ServiceError.__init__(
            self,
            f"{url} takes connections and answers nothing, not even /server_info within {waited_s:g} s: it "
            "hangs, is overloaded or is another program; restart `backtest up`, or set BACKTEST_URL. It is "
            "not known whether it will do what was asked",
        )


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
            f"the lock for {lock} is held by somebody else, waited {round(waited_s, 2):g} s; try again, and "
            "where that goes on, restart the web server and the daemon: one of them hangs"
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
