"""Asking an exchange until it answers: what is tried again, what is waited for, and what ends it.

- 429 (and what exchanges say instead of it): everybody pauses, then the request is tried again.
- 418, and Bybit's 403 for too frequent access: the address is shut out, and every further request would make
  that longer. Nobody asks until it is over.
- A connection that breaks, no answer in time, an answer of 5xx, and one that cannot be used: tried again, the
  distance doubling.
- Anything else is the exchange's last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from backtest_pipeline.candles.sources.ccxt_client import ccxt_module
from backtest_pipeline.candles.sources.exchange_answers import Answer, AnswerUnusable
from backtest_pipeline.model.errors import BacktestError, SourceBlocked, SourceRefused, SourceUnreachable

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.market_data import Clock
    from backtest_pipeline.candles.sources.rate_limiter import RateLimiter

T = TypeVar("T")

TRIES = 7
FIRST_DISTANCE_S = 1.0
# Where the exchange does not say how long: Upbit's first block is short, Bybit's takes ten minutes.
BLOCK_S = {"bybit": 600.0}
USUAL_BLOCK_S = 120.0
_REFUSED = {400, 401, 403, 404, 451}


def ask_patiently(
    exchange: str, client: Any, call: Callable[[Any], T], limiter: RateLimiter, clock: Clock
) -> T:
    """Call until there is an answer.

    Args:
        exchange: its name.
        client: of `make_client`, used by this thread alone.
        call: asks, by the client that it is given, and may raise `AnswerUnusable`.
        limiter: that is told of pauses and blocks.
        clock: to wait by.

    Raises:
        SourceBlocked: the exchange has shut this address out.
        SourceRefused: the exchange will not give it.
        SourceUnreachable: no try brought an answer.
    """
    ccxt = ccxt_module()
    problem = ""
    for attempt in range(TRIES):
        distance_s = FIRST_DISTANCE_S * 2**attempt
        client.answer = Answer()
        try:
            return call(client)
        except BacktestError:
            raise
        except (AnswerUnusable, ccxt.BaseError) as error:
            problem = _said(error)
            answer: Answer = client.answer
            if _is_block(exchange, answer):
                until = limiter.block(_retry_after_s(answer, clock) or BLOCK_S.get(exchange, USUAL_BLOCK_S))
                raise SourceBlocked(exchange, until) from error
            if answer.status == 429 or isinstance(error, ccxt.RateLimitExceeded):
                limiter.pause(_retry_after_s(answer, clock) or distance_s)
                continue
            if answer.status in _REFUSED or _is_final(ccxt, error, answer):
                raise SourceRefused(exchange, problem) from error
        except Exception as error:  # noqa: BLE001  ccxt's parsers fail in any way on what they do not expect
            problem = f"an answer that ccxt cannot read ({type(error).__name__}: {error})"
        if attempt < TRIES - 1:
            clock.sleep_s(distance_s)
    raise SourceUnreachable(exchange, problem, TRIES)


def _is_block(exchange: str, answer: Answer) -> bool:
    too_frequent = answer.status == 403 and "too frequent" in answer.text.lower()
    return answer.status == 418 or (exchange.startswith("bybit") and too_frequent)


def _is_final(ccxt: Any, error: Exception, answer: Answer) -> bool:
    final = (ccxt.BadRequest, ccxt.AuthenticationError, ccxt.NotSupported, ccxt.OperationRejected)
    return isinstance(error, final) and answer.status < 500


def _retry_after_s(answer: Answer, clock: Clock) -> float | None:
    """How long the exchange says that it will refuse: `Retry-After`, or Binance's moment in its message."""
    try:
        return max(0.0, float(answer.header("retry-after")))
    except ValueError:
        pass
    moment = re.search(r"until (\d{13})\b", answer.text)
    return max(0.0, int(moment[1]) / 1_000 - clock.now_s()) if moment else None


def _said(error: Exception) -> str:
    text = re.sub(r"\?\S+", "", " ".join(str(error).split())) or type(error).__name__
    kind = "" if isinstance(error, AnswerUnusable) else f"{type(error).__name__}: "
    return f"{kind}{text[:200]}"
