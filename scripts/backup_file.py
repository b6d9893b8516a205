"""The backup as one file: a tar whose first member lists all others with their checksums."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

SCHEMA_VERSION = 1
LISTING = "backup.json"
ROOMS = {"database", "data", "home"}
_CHUNK_BYTES = 1_048_576


class BackupRefused(Exception):
    """A backup cannot be made, read or put in place; the message says why and what to do."""


def write(sink: BinaryIO, folder: Path, facts: Mapping[str, Any]) -> int:
    """Writes all files below a folder, whose first level is ROOMS, and returns how many.

    Args:
        sink: where to; it is only written, from the start to the end.
        folder: of the files; nobody changes them meanwhile.
        facts: goes into the listing.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [
        {
            "path": path.relative_to(folder).as_posix(),
            "size_bytes": path.stat().st_size,
            "sha256": _sha256(path),
        }
        for path in paths
    ]
    listing = json.dumps({"schema_version": SCHEMA_VERSION, **facts, "files": files}, indent=1).encode()
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, LISTING, io.BytesIO(listing), len(listing))
        for path, file in zip(paths, files, strict=True):
            with path.open("rb") as content:
                _add(tar, str(file["path"]), content, path.stat().st_size)
    return len(files)


def read(source: BinaryIO, folder: Path) -> dict[str, Any]:
    """Unpacks a backup into an empty folder, checking every file, and returns its listing.

    Raises:
        BackupRefused: it is none, it is cut off, or a file is not what the listing says.
    """
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            members = iter(tar)
            listing = _listing(tar, next(members, None))
            waiting = {file["path"]: file for file in listing["files"]}
            needed = sum(file["size_bytes"] for file in listing["files"])
            if needed > shutil.disk_usage(folder).free:
                raise BackupRefused(f"the backup needs {needed / 1e9:.1f} GB in {folder.parent}; make room")
            for member in members:
                file = waiting.pop(member.name, None)
                if file is None or not member.isreg() or not _is_inside(member.name):
                    raise BackupRefused(f"{member.name!r} is not one of the files that the backup lists")
                _unpack(tar, member, file, folder / member.name)
    except tarfile.TarError as error:
        raise BackupRefused(f"this is no backup, or not all of it: {error}") from error
    if waiting:
        raise BackupRefused(f"the backup is cut off: {len(waiting)} files are missing, e.g. {min(waiting)}")
    return listing


def _add(tar: tarfile.TarFile, name: str, content: BinaryIO, size_bytes: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size_bytes, 0o644
    tar.addfile(member, content)


def _listing(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> dict[str, Any]:
    content = tar.extractfile(member) if member is not None and member.name == LISTING else None
    if content is None:
        raise BackupRefused(f"this is no backup: it does not begin with {LISTING}")
    listing: dict[str, Any] = json.load(content)
    if listing.get("schema_version") != SCHEMA_VERSION:
        raise BackupRefused(f"this backup has version {listing.get('schema_version')}, not {SCHEMA_VERSION}")
    return listing


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) > 1 and parts[0] in ROOMS and ".." not in parts


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, file: Mapping[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size_bytes = hashlib.sha256(), 0
    content = tar.extractfile(member)
    if content is None:
        raise BackupRefused(f"{member.name} cannot be read")
    with path.open("wb") as target:
        for chunk in _chunks(content):
            target.write(chunk)
            digest.update(chunk)
            size_bytes += len(chunk)
    if (size_bytes, digest.hexdigest()) != (file["size_bytes"], file["sha256"]):
        raise BackupRefused(f"{member.name} differs from what was backed up; take another backup")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        for chunk in _chunks(content):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(content: Any) -> Iterator[bytes]:
    while chunk := content.read(_CHUNK_BYTES):
        yield chunk
