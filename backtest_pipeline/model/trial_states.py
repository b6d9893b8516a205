"""What can become of a trial of a sweep."""

from __future__ import annotations

COMPLETED, INVALID, FAILED = "completed", "invalid", "failed"
TRIAL_STATES = (COMPLETED, INVALID, FAILED)
