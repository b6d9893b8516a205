"""Remarks on results in Korean, by the templates of the English ones."""

from __future__ import annotations

from collections.abc import Mapping

from backtest_pipeline.model import remark_texts as of

_OF_SYMBOLS: Mapping[tuple[str, str, str], str] = {
    of.LEFT_OPEN: "{0}: 청산되지 않은 포지션으로 끝나 마지막 종가로 평가했습니다 ({1}회).",
    of.LIQUIDATED: "{0}: 강제 청산되었습니다 ({1}회).",
    of.HAS_GAPS: "{0}: 포지션을 보유하는 동안 빠진 캔들이 있습니다 ({1}회).",
    of.WITHOUT_VOLUME: "{0}: 거래량이 없는 봉에서 체결되었습니다 ({1}회).",
    of.SKIPPED: "{0}: 현금이 부족해 진입하지 못했습니다 ({1}회).",
    of.SKIPPED_SLOTS: "{0}: 이미 `max_positions`만큼 보유 중이어서 진입하지 못했습니다 ({1}회).",
    of.SKIPPED_STOP: "{0}: `risk_frac`의 기준이 될 손절가가 없어 진입하지 못했습니다 ({1}회).",
    of.SKIPPED_VOLATILITY: "{0}: 변동성을 아직 알 수 없어 진입하지 못했습니다 ({1}회).",
}

KOREAN_REMARKS: dict[str, str] = {
    of.NO_TRADE: "거래가 없습니다.",
    of.ONE_TRADE: "거래가 1건뿐이라 실력과 운을 가릴 수 없습니다. {0}건 이상이 필요합니다.",
    of.FEW_TRADES: "거래 {0}건으로는 실력과 운을 가릴 수 없습니다. {1}건 이상이 필요합니다.",
    of.ONE_TRADE_IS_ALL: "이익 전부가 거래 하나에서 나왔습니다. 그 거래가 없으면 이익도 없습니다.",
    of.FILLS_AT_CLOSE: "신호가 나온 봉의 종가에 체결하는 낙관적인 가정입니다.",
    of.SPANS_A_DAY: "캔들 기간이 {0}일입니다. 연간 지표는 {1}일 이상이어야 하므로 표시하지 않습니다.",
    of.SPANS_DAYS: "캔들 기간이 {0}일입니다. 연간 지표는 {1}일 이상이어야 하므로 표시하지 않습니다.",
    of.YEAR_ASSUMED: (
        "{0}: 봉만으로는 어느 요일에 거래하는 시장인지 알 수 없어 1년을 {1}봉으로 가정했습니다. "
        "요청에 `calendar`를 적거나 `backtest candles import --calendar`로 기록하세요."
    ),
    of.RESTS: "{0}: {2} 달력 {1}과(와) 달리 쉬는 요일이 있습니다. 연간 지표는 달력을 따릅니다.",
    of.NEVER_RESTS: "{0}: {2} 달력 {1}과(와) 달리 모든 요일에 거래합니다. 연간 지표는 달력을 따릅니다.",
    of.LACKS_WARM_UP_BAR: "{0}: 전략은 시작 전 준비 구간으로 {1}봉을 요구하지만 {2}봉만 있습니다.",
    of.LACKS_WARM_UP_BARS: "{0}: 전략은 시작 전 준비 구간으로 {1}봉을 요구하지만 {2}봉만 있습니다.",
    of.LOOKS_AHEAD: (
        "전략이 미래를 참조합니다: {2} 이후의 캔들을 잘라내면 {1}의 {0} 신호가 바뀌므로 "
        "시장에서는 얻을 수 없는 결과입니다."
    ),
    of.LOOKS_AHEAD_FURTHER: (
        "전략이 미래를 참조합니다: {2} 이후의 캔들을 다른 캔들로 바꾸면 {1}의 {0} 신호가 바뀌므로 "
        "시장에서는 얻을 수 없는 결과입니다."
    ),
    of.NOT_CHECKED: "캔들의 일부에 대해서는 미래 참조 검사를 하지 못했습니다: {0}.",
    of.FUNDING_PAID: "펀딩비로 모두 {0}을(를) 냈습니다. 수수료에 포함됩니다.",
    of.FUNDING_RECEIVED: "펀딩비로 모두 {0}을(를) 받았습니다. 그만큼 수수료가 줄었습니다.",
    of.INTEREST_PAID: "빌린 금액의 이자로 모두 {0}을(를) 냈습니다. 수수료에 포함됩니다.",
    of.FUNDING_BEGINS_LATE: "{0}: 펀딩비율이 {1}부터 있습니다. 그 전에는 펀딩비를 내지 않았습니다.",
    of.FUNDING_ENDS_EARLY: "{0}: 펀딩비율이 {1}까지 있습니다. 그 뒤에는 펀딩비를 내지 않았습니다.",
    of.DETAIL_IN_PART: (
        "{0}: {3}봉 중 {2}봉에는 {1} 캔들이 없습니다. 이런 봉에서는 더 불리한 순서를 가정했습니다."
    ),
    of.DETAIL_ELSEWHERE: (
        "{0}: {1} 캔들이 {3}봉 중 {2}봉의 가격 범위를 1 % 넘게 벗어납니다. "
        "출처와 가격 수정 방식이 같은 캔들을 쓰세요."
    ),
    of.SERVERS_CODE: "요청대로 제출자의 코드 {1}이(가) 아니라 서버의 코드 {0}으로 실행했습니다.",
    of.NONE_RANKS: "{0} 값이 있는 시행이 없어 순위도 최고 결과도 없습니다.",
    of.NONE_RANKS_WHERE: "{1} 조건을 만족하고 {0} 값이 있는 시행이 없어 순위도 최고 결과도 없습니다.",
    of.TRIAL_FAILED: "시행 {0}회가 실패했습니다. 이유는 trials.parquet에 있습니다.",
    of.TRIALS_FAILED: "시행 {0}회가 실패했습니다. 이유는 trials.parquet에 있습니다.",
    "recorded": "기록된",
    "requested": "요청된",
    "{0} and {1}": "{0}, {1}",
    "{0} and {1} more": "{0} 외 {1}개",
    **{
        of.template_of_symbols(what, one_symbol=one, once=once): korean
        for what, korean in _OF_SYMBOLS.items()
        for one in (False, True)
        for once in (False, True)
    },
}
