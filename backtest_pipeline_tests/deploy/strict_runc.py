"""What podman starts in the place of runc: runc, with nothing writable but what the compose file asks for.

podman makes `/run`, `/tmp` and `/var/tmp` of a read-only container writable by itself, which Docker does not.
What docker-compose.yml mounts there says its mode; podman's own mounts do not.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

PODMANS_OWN = {"/run", "/tmp", "/var/tmp"}  # noqa: S108  folders of a container


def without_podmans_own(config: dict[str, Any]) -> dict[str, Any]:
    """The container's description without the mounts that nobody asked for."""
    if not config["root"].get("readonly"):
        return config
    kept = [mount for mount in config["mounts"] if not _is_podmans_own(mount)]
    return {**config, "mounts": kept}


def _is_podmans_own(mount: dict[str, Any]) -> bool:
    asked = any(option.startswith("mode=") for option in mount.get("options", []))
    return mount["destination"] in PODMANS_OWN and mount.get("type") == "tmpfs" and not asked


def main() -> None:
    """Becomes runc."""
    arguments = sys.argv[1:]
    if "create" in arguments:
        config = Path(arguments[arguments.index("--bundle") + 1], "config.json")
        config.write_text(json.dumps(without_podmans_own(json.loads(config.read_text()))))
    runc = shutil.which("runc") or "runc"
    os.execv(runc, [runc, *arguments])  # noqa: S606  podman's own arguments


if __name__ == "__main__":
    main()
