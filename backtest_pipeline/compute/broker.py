"""The broker through which machines hand each other work: queues, priorities, how Celery is to treat it.

Redis hands a message out and remembers it until it is acknowledged. A message may therefore come twice: when
the one who had it vanishes, and when work takes longer than the visibility timeout. Whoever takes one has to
bear that; here a run is claimed in Dagster's database, and a chunk may be made again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis import Redis

RUNS, CHUNKS = "runs", "chunks"
QUEUES = (RUNS, CHUNKS)
"""Runs and chunks wait apart, so that a sweep's thousands of chunks hold up no backtest."""

RUN_TASK = "execute_job"
"""Name under which dagster-celery's launcher asks for a run."""
CHUNK_TASK = "backtest_chunk"

PRIORITY_STEPS = (0, 3, 6, 9)
"""Redis has one list for each of them; the lowest number goes first."""
_ABOVE, _USUAL, _BELOW = 3, 6, 9
_SOCKET_TIMEOUT_S = 10.0
_LOST_WAIT_S = 0.5


def queue_name(queue: str) -> str:
    """Celery's name of one of `QUEUES`."""
    return f"backtest.{queue}"


def lists_of(queue: str) -> list[str]:
    """Redis' lists of what waits in one of `QUEUES`, the first to be taken first."""
    name = queue_name(queue)
    return [name if step == 0 else f"{name}\x06\x16{step}" for step in PRIORITY_STEPS]


def message_priority(priority: int) -> int:
    """Redis' step of a request's priority, where 0 is usual and higher goes first."""
    if priority == 0:
        return _USUAL
    return _ABOVE if priority > 0 else _BELOW


def celery_settings(visibility_timeout_s: int) -> dict[str, Any]:
    """How Celery treats messages, at both ends.

    Args:
        visibility_timeout_s: after so long without an acknowledgement a message is handed out again.
    """
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "task_ignore_result": True,
        # A message is gone only once its work is done, and whoever works holds no other one.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_lost_wait": _LOST_WAIT_S,
        "worker_proc_alive_timeout": 60.0,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_send_task_events": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": _SOCKET_TIMEOUT_S,
        "broker_transport_options": {
            "visibility_timeout": visibility_timeout_s,
            "priority_steps": list(PRIORITY_STEPS),
            "queue_order_strategy": "priority",
            "socket_timeout": _SOCKET_TIMEOUT_S,
            "socket_connect_timeout": _SOCKET_TIMEOUT_S,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    }


def client_of(url: str) -> Redis:
    """A connection to the broker for what Celery does not do; nothing is asked yet."""
    from redis import Redis  # noqa: PLC0415  comes with the extra `celery`

    client: Redis = Redis.from_url(
        url,
        socket_timeout=_SOCKET_TIMEOUT_S,
        socket_connect_timeout=_SOCKET_TIMEOUT_S,
        socket_keepalive=True,
        health_check_interval=10,
    )
    return client


def waiting(client: Redis, queue: str) -> int:
    """How many messages wait in one of `QUEUES`.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    pipe = client.pipeline(transaction=False)
    for name in lists_of(queue):
        pipe.llen(name)
    return sum(pipe.execute())
