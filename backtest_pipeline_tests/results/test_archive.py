"""Archives: there and back, and what is refused on the way in."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from backtest_pipeline.model.errors import (
    ArchiveRefused,
    FileThere,
    ResultDamaged,
    ResultMissing,
    TaskUnknown,
)
from backtest_pipeline.results import archive
from backtest_pipeline.results.archive import export_task, import_archive
from backtest_pipeline.results.archive_stream import ArchiveReader
from backtest_pipeline.results.catalog import read_catalog
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_folder, verify_task
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import OTHER, TASK, forge, publish, rewrite, wandering

Members = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    """A data root with a task."""
    publish(tmp_path / "here", wandering())
    return Layout(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Layout:
    """A data root with nothing."""
    return Layout(tmp_path / "there")


@pytest.fixture
def exported(here: Layout, tmp_path: Path) -> Path:
    path = tmp_path / "task.tar.zst"
    export_task(here, TASK, path)
    return path


def _members(path: Path) -> Members:
    with pa.input_stream(str(path), compression="zstd") as stream:
        plain = io.BytesIO(stream.read())
    with tarfile.open(fileobj=plain) as tar:
        return [(info, tar.extractfile(info).read()) for info in tar.getmembers()]  # type: ignore[union-attr]  # regular files


def _pack(path: Path, members: Members, *, format: int = tarfile.USTAR_FORMAT) -> Path:  # noqa: A002  tarfile's name
    """An archive as Python's own tarfile writes it."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=format) as tar:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))
    return _compress(path, plain.getvalue())


def _compress(path: Path, content: bytes) -> Path:
    with pa.output_stream(str(path), compression="zstd") as sink:
        sink.write(content)
    return path


def _refused(there: Layout, path: Path) -> str:
    """Why an archive is refused; nothing of it may stay."""
    before = sorted(there.tasks.rglob("*")) if there.tasks.exists() else []
    with pytest.raises(ArchiveRefused) as caught:
        import_archive(there, path)
    left = set(there.tasks.rglob("*")) - set(before)
    assert left <= {there.staging(""), there.publish_lock}
    return str(caught.value)


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_a_task_goes_out_and_comes_back_as_it_was(here: Layout, there: Layout, exported: Path) -> None:
    done = import_archive(there, exported, pinned=False)
    assert (done.task_id, done.folder, done.new) == (TASK, there.task(TASK), True)
    for path in here.task(TASK).iterdir():
        assert (there.task(TASK) / path.name).read_bytes() == path.read_bytes()
    assert verify_task(there, TASK).ok
    assert TaskStore(there.data_root).result(TASK).metrics == TaskStore(here.data_root).result(TASK).metrics
    assert list(read_catalog(there).manifests) == [TASK]
    assert list(there.staging("").iterdir()) == []


def test_other_tools_can_read_an_archive(here: Layout, exported: Path, tmp_path: Path) -> None:
    assert [info.name for info, _ in _members(exported)] == [
        "manifest.json", "signals.parquet", "trades.parquet", "equity.parquet",
    ]  # fmt: skip
    assert all(content == (here.task(TASK) / info.name).read_bytes() for info, content in _members(exported))


def test_the_same_task_gives_the_same_archive(here: Layout, exported: Path, tmp_path: Path) -> None:
    export_task(here, TASK, tmp_path / "again.tar.zst")
    assert (tmp_path / "again.tar.zst").read_bytes() == exported.read_bytes()


def test_an_imported_result_is_kept_past_its_time_unless_that_is_not_wanted(
    there: Layout, exported: Path
) -> None:
    import_archive(there, exported)
    manifest = TaskStore(there.data_root).manifest(TASK)
    assert (manifest.pinned, manifest.timestamps.expires_at) == (True, None)
    assert verify_task(there, TASK).ok


def test_importing_again_changes_nothing_also_where_it_was_pinned_meanwhile(
    there: Layout, exported: Path
) -> None:
    import_archive(there, exported, pinned=False)
    before = there.manifest(TASK).stat()
    assert not import_archive(there, exported).new
    assert there.manifest(TASK).stat().st_mtime_ns == before.st_mtime_ns
    TaskStore(there.data_root).pin(TASK, pinned=True, ttl_days=0)
    assert not import_archive(there, exported).new


def test_other_results_of_the_same_task_are_not_replaced(there: Layout, exported: Path) -> None:
    publish(there.data_root, wandering(seed=2))
    before = there.manifest(TASK).read_bytes()
    assert "is here already, with other results" in _refused(there, exported)
    assert there.manifest(TASK).read_bytes() == before


def test_a_damaged_task_that_is_here_already_is_told_and_left(there: Layout, exported: Path) -> None:
    import_archive(there, exported)
    (there.task(TASK) / "trades.parquet").unlink()
    assert "damaged (trades.parquet: the file is gone)" in _refused(there, exported)


def test_what_somebody_else_published_meanwhile_is_not_replaced(
    there: Layout, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = verify_folder

    def check_while_another_publishes(folder: Path, task_id: str) -> Any:
        found = check(folder, task_id)
        publish(there.data_root, wandering(seed=2))
        return found

    monkeypatch.setattr(archive, "verify_folder", check_while_another_publishes)
    with pytest.raises(ArchiveRefused, match="with other results"):
        import_archive(there, exported)
    assert verify_task(there, TASK).ok


def test_a_damaged_task_is_not_exported(here: Layout, tmp_path: Path) -> None:
    forge(here.data_root, "trades", lambda frame: frame.assign(pnl=frame["pnl"] + 1))
    with pytest.raises(ResultDamaged, match="row 0: pnl is"):
        export_task(here, TASK, tmp_path / "task.tar.zst")
    assert not (tmp_path / "task.tar.zst").exists()


def test_a_task_that_is_not_there_is_not_exported(here: Layout, tmp_path: Path) -> None:
    with pytest.raises(ResultMissing):
        export_task(here, OTHER, tmp_path / "task.tar.zst")
    with pytest.raises(TaskUnknown):
        export_task(here, "../x", tmp_path / "task.tar.zst")
    assert list(tmp_path.glob("*.zst*")) == []


def test_a_file_is_replaced_only_by_force(here: Layout, exported: Path) -> None:
    exported.write_text("precious")
    with pytest.raises(FileThere, match="add --force"):
        export_task(here, TASK, exported)
    assert exported.read_text() == "precious"
    export_task(here, TASK, exported, force=True)
    assert len(_members(exported)) == 4
    assert [path.name for path in exported.parent.glob(".*")] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "hostile",
    [
        _member("/etc/passwd"),
        _member("../../escaped"),
        _member("sub/equity.parquet"),
        _member(".hidden"),
        _member("more.parquet"),
        _member("manifest.json"),
        _member("signals.parquet"),
        _member("signals.parquet", tarfile.SYMTYPE, "/etc/passwd"),
        _member("signals.parquet", tarfile.LNKTYPE, "manifest.json"),
        _member("signals.parquet", tarfile.CHRTYPE),
        _member("signals.parquet", tarfile.BLKTYPE),
        _member("signals.parquet", tarfile.FIFOTYPE),
        _member("signals.parquet", tarfile.DIRTYPE),
        _member("x" * 300),
    ],
    ids=lambda info: f"{info.name[:20]} {info.type!r}",
)
@pytest.mark.parametrize("at", [0, 1, 2, 4])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_member_that_is_not_the_next_listed_file_is_refused(
    there: Layout,
    exported: Path,
    hostile: tarfile.TarInfo,
    at: int,
    format: int,  # noqa: A002  tarfile's name
) -> None:
    members = _members(exported)
    if (hostile.name, hostile.type) == ("manifest.json", tarfile.REGTYPE) and at == 0:
        pytest.skip("that is where the manifest belongs")
    members.insert(at, (hostile, b"hostile"))
    try:
        path = _pack(exported.with_name("hostile"), members, format=format)
    except ValueError:
        pytest.skip("this format cannot write such a name")
    said = _refused(there, path)
    assert (
        "where" in said or "more than its manifest lists" in said or "no manifest" in said or "bytes" in said
    )
    assert not (there.data_root.parent / "escaped").exists()


def _with_manifest(exported: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    members = _members(exported)
    manifest = json.loads(members[0][1])
    change(manifest)
    members[0] = (members[0][0], json.dumps(manifest).encode())
    return _pack(exported.with_name("changed"), members)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda of: of.update(task_id="../../escaped"), "is no task id"),
        (lambda of: of["result_files"][0].update(path="../escaped"), "lists '../escaped'"),
        (lambda of: of["result_files"][0].update(path="/etc/passwd"), "lists '/etc/passwd'"),
        (lambda of: of["result_files"][0].update(path=".hidden"), "lists '.hidden'"),
        (lambda of: of["result_files"][0].update(path="manifest.json"), "lists 'manifest.json'"),
        (lambda of: of["result_files"][0].update(path=""), "lists ''"),
        (lambda of: of["result_files"].append(of["result_files"][0]), "a file twice"),
        (lambda of: of["result_files"][0].update(size_bytes=10**15), "make room"),
        (lambda of: of["result_files"][0].update(size_bytes=1), "the manifest says 1"),
        (lambda of: of["result_files"][0].update(sha256="0" * 64), "not what the manifest lists (sha256)"),
        (lambda of: of["result_files"].pop(0), "where trades.parquet must come"),
        (lambda of: of["metrics"].update(trades=1), "metrics.trades is 1.0, the tables make it"),
        (lambda of: of.update(schema_version=2), "none of schema version 1"),
        (lambda of: of.pop("error"), "none of schema version 1"),
    ],
)
def test_a_manifest_that_does_not_fit_its_files_is_refused(
    there: Layout, exported: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    assert says in _refused(there, _with_manifest(exported, change))


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.9, -1])
def test_a_truncated_archive_is_refused(there: Layout, exported: Path, kept: float) -> None:
    content = exported.read_bytes()
    exported.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    _refused(there, exported)


@pytest.mark.parametrize("blocks", range(1, 30))
def test_a_tar_that_ends_anywhere_but_at_its_end_is_refused(
    there: Layout, exported: Path, blocks: int
) -> None:
    with pa.input_stream(str(exported), compression="zstd") as stream:
        plain = stream.read()
    files = len(plain.rstrip(b"\0"))
    end = (files // 512 + 1 + 2) * 512  # the last file's last block, and the two of the end mark
    assert not any(plain[end:]), "padding"
    assert end // 512 > 30
    _refused(there, _compress(exported, plain[: end - 512 * blocks]))


def test_an_archive_with_or_without_padding_is_taken(there: Layout, exported: Path) -> None:
    """Version 0.1 wrote none, tar and tarfile fill up to 10,240 bytes."""
    with pa.input_stream(str(exported), compression="zstd") as stream:
        plain = stream.read()
    assert len(plain) % 10_240 == 0
    bare = plain[: (len(plain.rstrip(b"\0")) // 512 + 3) * 512]
    assert import_archive(there, _compress(exported, bare)).new


def test_something_else_is_refused(there: Layout, tmp_path: Path) -> None:
    for content in (b"", b"hello", os.urandom(10_000)):
        path = tmp_path / "other"
        path.write_bytes(content)
        _refused(there, path)
    assert "no archive of a task" in _refused(there, _compress(tmp_path / "random", os.urandom(10_000)))
    with pytest.raises(FileNotFoundError):
        import_archive(there, tmp_path / "missing")


def test_a_bomb_is_given_up_early(there: Layout, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gigabyte of zeros in some kilobytes: as a manifest, as a file, and after the last file."""
    zeros = b"\0" * (1 << 20)
    read: list[int] = []
    usual = ArchiveReader.read
    monkeypatch.setattr(ArchiveReader, "read", lambda self, size: _counted(read, usual(self, size)))

    def bomb(before: Members, name: str) -> Path:
        path = exported.with_name("bomb")
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for info, content in before:
                tar.addfile(info, io.BytesIO(content))
            head = plain.getvalue()
        with pa.output_stream(str(path), compression="zstd") as sink:
            sink.write(head)
            if name:
                huge = tarfile.TarInfo(name)
                huge.size = 1 << 30
                sink.write(huge.tobuf(tarfile.USTAR_FORMAT))
            for _ in range(1 << 10):
                sink.write(zeros)
        return path

    members = _members(exported)
    assert "larger than" in _refused(there, bomb([], "manifest.json"))
    assert "has 1,073,741,824 bytes" in _refused(there, bomb(members[:1], "signals.parquet"))
    assert "more than its manifest lists" in _refused(there, bomb(members, ""))
    assert sum(read) < 4 << 20


def _counted(read: list[int], content: bytes) -> bytes:
    read.append(len(content))
    return content


def test_a_full_disk_leaves_nothing(there: Layout, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "_sync", full)
    with pytest.raises(OSError, match="No space left"):
        import_archive(there, exported)
    assert list(there.staging("").iterdir()) == []
    assert read_catalog(there).manifests == {}


def test_a_failed_tasks_record_travels_too(here: Layout, there: Layout, tmp_path: Path) -> None:
    for name in ("signals", "trades", "equity"):
        (here.task(TASK) / f"{name}.parquet").unlink()

    def fail(manifest: dict[str, Any]) -> None:
        error = {"type": "OSError", "message": "disk full", "retryable": True, "stage": "writing"}
        manifest |= {"status": "failed", "result_files": [], "metrics": {}, "by_symbol": {}, "error": error}

    rewrite(here.data_root, fail)
    export_task(here, TASK, tmp_path / "failed.tar.zst")
    import_archive(there, tmp_path / "failed.tar.zst")
    assert TaskStore(there.data_root).manifest(TASK).status == "failed"


def test_a_report_that_was_added_later_makes_no_other_result(
    here: Layout, there: Layout, exported: Path
) -> None:
    import_archive(there, exported)
    store = TaskStore(there.data_root)
    store.add_file(store.manifest(TASK), "report.html", b"<html></html>", name="report")
    assert not import_archive(there, exported).new
    export_task(there, TASK, exported, force=True)
    assert [info.name for info, _ in _members(exported)][-1] == "report.html"
    assert not import_archive(here, exported).new


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_extended_header_is_not_even_read(
    there: Layout, exported: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    """`tarfile` would read it whole, here a gigabyte, before anybody could look at its name."""
    read: list[int] = []
    usual = ArchiveReader.read
    monkeypatch.setattr(ArchiveReader, "read", lambda self, size: _counted(read, usual(self, size)))
    for before in ([], _members(exported)[:1]):
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for info, content in before:
                tar.addfile(info, io.BytesIO(content))
            head = plain.getvalue()
        huge = _member("signals.parquet" if before else "manifest.json", kind)
        huge.size = 1 << 30
        path = exported.with_name("extended")
        with pa.output_stream(str(path), compression="zstd") as sink:
            sink.write(head + huge.tobuf(tarfile.USTAR_FORMAT))
            for _ in range(1 << 10):
                sink.write(b"\0" * (1 << 20))
        assert "extended header where a file must come" in _refused(there, path)
    assert sum(read) < 1 << 20


def test_a_large_file_is_handed_on_in_pieces(
    tmp_path: Path, there: Layout, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    usual = ArchiveReader.content

    def counted(self: ArchiveReader, member: tarfile.TarInfo) -> Any:
        for chunk in usual(self, member):
            sizes.append(len(chunk))
            yield chunk

    monkeypatch.setattr(ArchiveReader, "content", counted)
    big = os.urandom(5_000_000)
    store = TaskStore(tmp_path / "here")
    store.add_file(store.manifest(TASK), "report.html", big, name="report")
    export_task(Layout(tmp_path / "here"), TASK, exported, force=True)
    import_archive(there, exported)
    assert (there.task(TASK) / "report.html").read_bytes() == big
    assert max(sizes) <= 1 << 20
    assert sum(sizes) > len(big)
