"""The images of docker-compose.yml: ours from the Dockerfile, stand-ins from Debian's packages for the rest.

No registry is asked for an image. The stand-ins have the names that Dockerfile and compose file pin, and of
the originals what these rely on; `stand_ins/` says what. They are kept in the user's cache folder.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from backtest_pipeline_tests.deploy.podman import Podman

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"
DEBIAN = "localhost/debian:trixie"
# Of pip's configuration: where packages are, and how they are reached. Of the first kind all values count,
# of the second the nearest one.
_LISTS = ("constraint", "extra-index-url", "find-links", "trusted-host")
_SINGLE = ("cert", "client-cert", "default-timeout", "index-url", "no-index", "proxy", "timeout")


def stand_ins() -> list[str]:
    """The images of others that the Dockerfile builds on and the compose file starts, sorted."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    started = [one["image"] for one in compose["services"].values() if "build" not in one]
    return sorted({*bases, *started})


def ours() -> dict[str, str]:
    """The stages of the Dockerfile that the compose file starts, with the names of their images."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return {one["build"]["target"]: one["image"] for one in compose["services"].values() if "build" in one}


def load_stand_ins(engine: Podman) -> None:
    """Gives an engine the stand-ins, built at the first time and read from the cache later."""
    names, mirror = stand_ins(), _mirror()
    recipes = [path.read_bytes() for path in sorted(STAND_INS.rglob("*")) if path.is_file()]
    digest = hashlib.sha256(b"\0".join([repr((names, mirror)).encode(), *recipes])).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backtest-pipeline-tests"
    kept = cache / f"stand-ins-{digest}.tar"
    if kept.exists():
        engine("load", "--input", kept)
        return
    _debootstrap(engine, mirror)
    for name in names:
        repository, _, tag = name.partition(":")
        major, minor = re.findall(r"\d+", tag)[:2]
        arguments = {"MIRROR": mirror, "MAJOR": major, "PYTHON": f"{major}.{minor}"}
        options = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        engine.build(name, STAND_INS / repository, *options)
    cache.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}")
    try:
        full = [f"docker.io/library/{name}" for name in names]
        engine("save", "--multi-image-archive", "--output", partial, *full)
        partial.rename(kept)
    finally:
        partial.unlink(missing_ok=True)


def build(engine: Podman, target: str, tag: str, context: Path = ROOT) -> float:
    """Builds a stage of a folder's Dockerfile as it is; returns the seconds that it took."""
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "config", "list"]
        told = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
        mounts = pip_mounts_of(told, Path(scratch, "pip.conf"))
        options = [word for mount in mounts for word in ("--volume", f"{mount}:ro")]
        return engine.build(tag, context, "--target", target, *options)


def pip_mounts_of(told: str, config: Path) -> list[str]:
    """What lets pip in an image find packages where pip here does, as `outside:inside`.

    Args:
        told: what `pip config list` says, the environment's values first.
        config: where the file for the image is written.
    """
    values: dict[str, list[str]] = {}
    for line in told.splitlines():
        name, _, value = line.partition("=")
        values.setdefault(name.rpartition(".")[2], []).extend(ast.literal_eval(value).split())
    if authorities := os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE"):
        values.setdefault("cert", [authorities])
    wanted = {key: values[key] for key in _LISTS if key in values}
    wanted |= {key: values[key][:1] for key in _SINGLE if key in values}
    lines = (f"{key} = {' '.join(words)}" for key, words in wanted.items())
    config.write_text("\n".join(["[global]", *lines, ""]))
    places = {place for words in wanted.values() for word in words if (place := _place(word))}
    return [f"{config}:/etc/pip.conf", *(f"{place}:{place}" for place in sorted(places))]


def _place(word: str) -> str | None:
    """A file or folder of this machine that a word of the configuration means."""
    if word.startswith("file:"):
        return str(Path(urlsplit(word).path).parent)  # an index links to files beside it
    return word if word.startswith("/") and Path(word).exists() else None


def _mirror() -> str:
    """Where this machine's apt gets Debian from."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages"],  # noqa: S607  Debian's
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    mirrors = [line.rstrip("/") for line in told if "security" not in line]
    assert mirrors, "apt has no sources; Debian's packages are what the stand-in images are made of"
    return mirrors[0]


def _debootstrap(engine: Podman, mirror: str) -> None:
    """The base of all: a small Debian of the release that the images' names have."""
    with tempfile.TemporaryDirectory(dir=engine.folder) as scratch:
        system, archive = Path(scratch, "system"), Path(scratch, "system.tar")
        command = [
            "debootstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            "trixie",
            str(system),
            mirror,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        packages = [f"--exclude=./var/{one}/*" for one in ("cache/apt/archives", "lib/apt/lists")]
        subprocess.run(["tar", "-C", system, *packages, "-cf", archive, "."], check=True)  # noqa: S607  Debian's
        engine("import", archive, DEBIAN)
