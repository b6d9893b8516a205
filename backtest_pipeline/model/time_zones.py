"""Time zones by name: which there are, said once for settings, requests, records and files."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def known_zone(name: str) -> ZoneInfo:
    """The time zone of this name.

    Raises:
        ValueError: there is none, or the name is that of a folder of zones, as `Asia`.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one like UTC or Asia/Seoul") from None
