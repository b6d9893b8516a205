"""The code server's side of warm workers: start, reload, and the end of those that do not stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from dagster import DagsterInstance, DagsterRunStatus
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.server import DagsterApiServer, LoadedRepositories
from dagster._grpc.types import CancelExecutionRequest, CancelExecutionResult, ExecuteExternalJobArgs
from dagster._serdes import deserialize_value, serialize_value
from dagster._utils.error import serializable_error_info_from_exc_info
from grpc import StatusCode

from backtest_pipeline.compute.local_processes import cores
from backtest_pipeline.orchestration.dagster_internals import warm_workers
from backtest_pipeline.orchestration.dagster_internals.code_reload import CodeOnDisk, forget_modules
from backtest_pipeline.orchestration.dagster_internals.compat import overrides, uses
from backtest_pipeline.orchestration.dagster_internals.handed_runs import RunWorkers
from backtest_pipeline.orchestration.dagster_internals.run_slots import configured_instance, run_slots
from backtest_pipeline.orchestration.dagster_internals.submission_channel import answers_of, reply_to
from backtest_pipeline.settings import get_settings

if TYPE_CHECKING:
    import grpc

AGAIN_AFTER_S = 2.0
KILL_AFTER_S = 10.0
LOOK_AT_CODE_EVERY_S = 1.0
START_WITHIN_S = 25.0  # a cold worker imports everything first; run monitoring gives up after 30

for _method in ("Ping", "StartRun", "ReloadCode", "CancelExecution"):  # called by gRPC
    overrides(DagsterApiServer, _method)
overrides(DagsterApiServer, "_check_for_orphaned_runs", used_by=DagsterApiServer._cleanup_thread)  # noqa: SLF001  declared here
uses(DagsterApiServer, "_mp_ctx", "_executions", "_execution_lock", within=DagsterApiServer.StartRun)
uses(
    DagsterApiServer,
    "_termination_times",
    "_shutdown_once_executions_finish_event",
    "_reload_lock",
    "_loaded_repositories",
    "_serializable_load_error",
    "_server_id",
    "_server_termination_event",
    "_logger",
    "_entry_point",
    "_container_image",
    "_container_context",
    "_defs_state_info",
    within=DagsterApiServer.__init__,
)


class WarmApiServer(DagsterApiServer):
    """Dagster's API server, its workers forked from a preloaded process before there are runs for them.

    Attributes:
        answered_by: name of the module that answers questions of the `submission_channel`; empty: nobody.
    """

    answered_by: ClassVar[str] = ""

    @classmethod
    def answer_by(cls, module: str) -> None:
        """Sets `answered_by`, before a server is made."""
        cls.answered_by = module

    def __init__(self, **arguments: Any) -> None:
        warming = warm_workers.InBackground(warm_workers.first_context, arguments["logger"])
        self._to_interrupt: dict[str, float] = {}
        self._interrupted_again: set[str] = set()
        self._code = CodeOnDisk()
        super().__init__(**arguments)
        self._answer = answers_of(self.answered_by)
        self._load_arguments = arguments
        self._workers = RunWorkers(self._logger)
        self._mp_ctx = self._workers  # type: ignore[assignment]  # Dagster has spawn only
        self._take_workers_from(warming.context())
        threading.Thread(target=self._follow_changes, name="follow-code", daemon=True).start()

    def Ping(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  gRPC's name
        """Answer that it is there, which is asked before each launch, and questions about submissions.

        While the code on disk is not what is loaded, it seems to be away: tasks wait until it is.
        """
        self._seem_away_when_stopping(context)
        if self._reload_lock.locked() or self._code.is_behind():
            context.abort(StatusCode.UNAVAILABLE, "the code has changed on disk and is being loaded")
        reply = super().Ping(request, context)
        reply.echo = reply_to(request.echo, self._answer)
        return reply

    def StartRun(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  gRPC's name
        """Starts a worker, and kills it where it does not report in time.

        Dagster's server waits for its report as long as it lives, and nobody else can start a run meanwhile.
        """
        self._seem_away_when_stopping(context)
        asked = deserialize_value(request.serialized_execute_run_args, ExecuteExternalJobArgs)
        started = threading.Event()
        threading.Thread(target=self._kill_silent, args=(asked.run_id, started), daemon=True).start()
        try:
            return super().StartRun(request, context)
        finally:
            started.set()

    def _kill_silent(self, run_id: str, started: threading.Event) -> None:
        while not started.wait(START_WITHIN_S):
            known = self._executions.get(run_id)  # without the lock, which a start that hangs may hold
            if known is not None:
                self._logger.warning("the worker of run %s does not report; killing it", run_id)
                known[0].kill()

    def _seem_away_when_stopping(self, context: grpc.ServicerContext) -> None:
        """Asked to stop, it waits for the runs that it has and seems to be away: others wait in the queue.

        Dagster's server refuses their launches instead, which costs each of them an attempt.
        """
        if self._shutdown_once_executions_finish_event.is_set():
            context.abort(StatusCode.UNAVAILABLE, "the code server is stopping")

    def ReloadCode(  # noqa: N802  gRPC's name
        self, _request: dagster_api_pb2.ReloadCodeRequest, _context: grpc.ServicerContext
    ) -> dagster_api_pb2.ReloadCodeReply:
        """Imports the pipeline's and the operator's modules anew, for this server and for its workers.

        Code that does not load leaves no definitions, so that nothing runs on the old code unnoticed.
        """
        self._reload()
        return dagster_api_pb2.ReloadCodeReply()

    def _reload(self) -> None:
        with self._reload_lock:
            self._workers.stand_down()
            forget_modules()
            warming = warm_workers.InBackground(warm_workers.context, self._logger)
            self._load_anew()
            self._take_workers_from(warming.context())
            self._server_id = str(uuid.uuid4())
            self._code.loaded()

    def _take_workers_from(self, context: warm_workers.WarmContext | warm_workers.ColdContext) -> None:
        """Lets one stand by for each slot; more than there are processors would not start anything sooner."""
        instance = configured_instance(get_settings().dagster_home)
        self._workers.come_from(context, instance, run_slots(instance, at_most=cores()))

    def _follow_changes(self) -> None:
        """Loads changed code soon after it was written, so that nobody is served by what was there before."""
        while not self._server_termination_event.wait(LOOK_AT_CODE_EVERY_S):
            try:
                if self._reload_lock.locked():
                    continue  # it is being loaded
                if self._loaded_repositories is None:
                    self._reload_mended()
                elif self._code.has_settled():
                    self._reload_changed()
            except Exception as error:  # noqa: BLE001  the next look may do better
                self._logger.warning("cannot look after the code on disk now: %r", error)

    def _reload_changed(self) -> None:
        """Reloads as when asked to; but code that does not load takes nothing away from what is loaded.

        The runs of strategies that have changed are refused then by their workers, see `submitted_code`.
        """
        with self._reload_lock:
            if not self._code.is_behind():
                return  # somebody has asked for a reload meanwhile
            self._logger.info("the code has changed on disk; loading it")
            if self._workers.are_warm:
                renewed = warm_workers.renewed_context(self._logger)
                if renewed is None:
                    self._code.could_not_be_loaded()
                    return
                self._take_workers_from(renewed)
            forget_modules()
            self._load_anew()
            self._server_id = str(uuid.uuid4())
            self._code.loaded()

    def _reload_mended(self) -> None:
        """Loads code that did not load once it has been written anew, as when somebody asks for a reload."""
        if self._code.has_been_mended():
            self._logger.info("the code that did not load has changed on disk; loading it")
            self._reload()

    def _load_anew(self) -> None:
        try:
            self._loaded_repositories = self._load()
            self._serializable_load_error = None
        except Exception:  # noqa: BLE001  whatever user code raises is shown in the web UI
            self._loaded_repositories = None
            self._serializable_load_error = serializable_error_info_from_exc_info(sys.exc_info())
        self._answer = answers_of(self.answered_by)  # here, as nobody else imports meanwhile

    def CancelExecution(  # noqa: N802  gRPC's name
        self, request: dagster_api_pb2.CancelExecutionRequest, _context: grpc.ServicerContext
    ) -> dagster_api_pb2.CancelExecutionReply:
        """Interrupts a run's worker by a signal.

        Dagster sets a multiprocessing event instead, which waits until the worker has noticed: a worker stuck
        in native code would hold up this whole server.
        """
        asked = deserialize_value(request.serialized_cancel_execution_request, CancelExecutionRequest)
        with self._execution_lock:
            known = asked.run_id in self._executions
            if known:
                self._interrupt(asked.run_id)
            else:  # it may be about to start
                self._to_interrupt[asked.run_id] = time.time()
        result = serialize_value(
            CancelExecutionResult(success=known, message=None, serializable_error_info=None)
        )
        return dagster_api_pb2.CancelExecutionReply(serialized_cancel_execution_result=result)

    def _interrupt(self, run_id: str) -> None:
        self._termination_times.setdefault(run_id, time.time())
        process, _ = self._executions[run_id]
        if process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)

    def _load(self) -> LoadedRepositories:
        given = self._load_arguments
        return LoadedRepositories(
            given["loadable_target_origin"],
            entry_point=self._entry_point,
            container_image=self._container_image,
            container_context=self._container_context,
            defs_state_info=self._defs_state_info,
            code_location_name=given.get("location_name"),
        )

    def _check_for_orphaned_runs(self) -> None:
        """Looks after the workers, twice a second: kills the stuck, then lets Dagster report the dead.

        Whatever goes wrong, as with the database away, is tried again at the next look: the thread must live.
        """
        try:
            self._interrupt_late()
            self._kill_stuck()
            self._report_cancelled()
            super()._check_for_orphaned_runs()
        except Exception as error:  # noqa: BLE001  see above
            reason = str(error).partition("\n")[0]
            self._logger.warning("cannot look after the workers now: %s", reason)

    def _interrupt_late(self) -> None:
        """Interrupts workers whose cancellation came before they did, or that a signal has not reached.

        The fork server ignores SIGINT, and so does a worker in its first moments.
        """
        now_s = time.time()
        with self._execution_lock:
            for run_id, asked_at in list(self._to_interrupt.items()):
                if run_id in self._executions:
                    self._interrupt(run_id)
                if run_id in self._executions or now_s - asked_at > 2 * START_WITHIN_S:
                    del self._to_interrupt[run_id]
            late = {run_id for run_id, at in self._termination_times.items() if now_s - at > AGAIN_AFTER_S}
            for run_id in late - self._interrupted_again:
                self._interrupt(run_id)
            self._interrupted_again = late

    def _kill_stuck(self) -> None:
        """Kills workers that were asked to stop and are still there: native code sees no interrupt."""
        with self._execution_lock:
            for run_id, asked_at in self._termination_times.items():
                process, _ = self._executions[run_id]
                if time.time() - asked_at > KILL_AFTER_S and process.is_alive():
                    self._logger.warning("the worker of run %s does not stop; killing it", run_id)
                    process.kill()

    def _report_cancelled(self) -> None:
        """A worker that died while its run was being cancelled is a cancelled run, not a crashed one."""
        with self._execution_lock:
            dead = [
                (run_id, reference)
                for run_id, (process, reference) in self._executions.items()
                if run_id in self._termination_times and not process.is_alive()
            ]
        for run_id, reference in dead:
            with DagsterInstance.from_ref(reference) as instance:
                run = instance.get_run_by_id(run_id)
                if run is not None and run.status == DagsterRunStatus.CANCELING:
                    instance.report_run_canceled(run, message="The worker was stopped.")
