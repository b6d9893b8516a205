"""Prints the part of requirements.lock that running the pipeline needs, with its hashes.

The lock covers the tests' tools as well. It says of each package who wants it, so the wanted ones are found
from the project's own dependencies and some of its extras on.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("celery", "exchanges", "postgres")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def normal(requirement: str) -> str:
    """The name in a requirement, as indexes spell it."""
    match = _NAME.match(requirement.strip())
    if match is None:
        raise SystemExit(f"{requirement!r} names no package")
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def entries(lock: str) -> dict[str, str]:
    """The lock's entries by package: its line, its hashes and the remark of who wants it.

    A package may have several, for several versions of Python.
    """
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", "\n" + lock):
        if _NAME.match(entry):
            name = normal(entry)
            found[name] = f"{found.get(name, '')}\n{entry.rstrip()}".lstrip()
    return found


def wanted(roots: Iterable[str], found: dict[str, str]) -> list[str]:
    """The roots' packages and whatever those need, sorted."""
    needs: dict[str, list[str]] = {}
    for name, entry in found.items():
        remarks = re.sub(r"(?m)^(?![ \t]+#).*$|# via|\(pyproject.toml\)", "", entry)
        for parent in _NAME.findall(remarks):
            needs.setdefault(normal(parent), []).append(name)
    reached, waiting = set(), [normal(root) for root in roots]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += needs.get(name, [])
    return sorted(reached)


def main() -> None:
    """Prints it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (line for extra in EXTRAS for line in project["optional-dependencies"][extra])
    found = entries((ROOT / "requirements.lock").read_text())
    for name in wanted([*project["dependencies"], *extras], found):
        if name not in found:
            sys.exit(f"{name} is not in requirements.lock; run scripts/lock")
        print("\n".join(line for line in found[name].splitlines() if not line.lstrip().startswith("#")))  # noqa: T201


if __name__ == "__main__":
    main()
