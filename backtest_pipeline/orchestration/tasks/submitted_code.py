"""Is the code that runs the submitter's? Where it is not, nothing runs, or the result says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backtest_pipeline.model import remark_texts, tags
from backtest_pipeline.model.errors import CodeDiffers
from backtest_pipeline.strategies.code_version import package_version
from backtest_pipeline.strategies.registry import code_sha256_of, code_sha256_on_disk_of

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class CodeOfRun:
    """Digests of the code that decides a run's result, see `strategies.code_version`.

    Attributes:
        ran: of what this process has loaded; `None` where it has no sources.
        submitted: of what the submitter had; `None` where the submitter does not say, as from the web UI.
    """

    ran: str | None
    submitted: str | None

    @property
    def remarks(self) -> list[str]:
        """What a result must say of its code: nothing where it is the submitter's."""
        if self.submitted in {None, self.ran}:
            return []
        ran, submitted = _short(self.ran), _short(self.submitted)
        return [remark_texts.SERVERS_CODE.format(ran, submitted)]


def code_of_run(names: str | Sequence[str], run_tags: Mapping[str, str]) -> CodeOfRun:
    """The code that a worker is about to run strategies with.

    Args:
        names: of the strategy, or of those that a sweep may run.
        run_tags: the run's, which say what the submitter had and whether any code will do.

    Raises:
        CodeDiffers: the submitter had other code and did not ask for the server's; or what this process has
            loaded is no longer what is on disk.
    """
    names = [names] if isinstance(names, str) else list(names)
    strategy = " and ".join(names)
    ran = code_sha256_of(*names)
    submitted = run_tags.get(tags.SUBMITTED_CODE) or None
    code = CodeOfRun(ran, submitted)
    if run_tags.get(tags.ANY_CODE) == "true":
        return code
    if submitted is not None and submitted == ran:
        return code
    on_disk = code_sha256_on_disk_of(*names)  # looks at hundreds of files, and so only where it matters
    if ran != on_disk:
        raise CodeDiffers(
            strategy,
            ran,
            on_disk,
            f"its source on disk ({_short(on_disk)}) is not what the server has loaded ({_short(ran)}): "
            "where it was written just now, submit again; else the code server's log says why it does not "
            "load: mend it, and it is loaded, or press Reload at the code location in the web UI",
        )
    if submitted is not None:
        raise CodeDiffers(
            strategy,
            ran,
            submitted,
            f"the server's code ({_short(ran)}, backtest_pipeline {package_version()}) is not the code that "
            f"this was submitted with ({_short(submitted)}): bring package and strategy files to the same "
            "version on both and submit again, or submit with --server-code (Python: server_code=True) to "
            "run the server's",
        )
    return code


def _short(digest: str | None) -> str:
    return "unknown" if digest is None else digest[:_SHOWN]
