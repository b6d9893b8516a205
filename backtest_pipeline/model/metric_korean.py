"""The names and explanations of the metrics in Korean, beside the English ones of `metric_catalog`."""

from __future__ import annotations

from backtest_pipeline.model.metric_catalog import METRICS

KOREAN_METRICS: dict[str, tuple[str, str]] = {
    "total_return": ("총수익률", "최종 자산을 초기 자금으로 나눈 값에서 1을 뺀 값입니다."),
    "cagr": (
        "연평균 수익률 (CAGR)",
        "초기 자금이 최종 자산이 되기까지의 연 복리 수익률입니다. 30일 미만이면 계산하지 않습니다.",
    ),
    "annual_volatility": (
        "연 변동성",
        "봉 수익률의 표준편차에 연간 봉 수의 제곱근을 곱한 값입니다. 30일 미만이면 계산하지 않습니다.",
    ),
    "sharpe": (
        "샤프 지수",
        "수익률의 평균을 표준편차로 나누어 연율화한 값입니다(무위험 0). 30일 미만이면 계산 안 함.",
    ),
    "sortino": ("소르티노 지수", "샤프 지수와 같지만 손실이 난 봉만 위험으로 봅니다."),
    "calmar": ("칼마 지수", "연평균 수익률을 최대 낙폭으로 나눈 값입니다."),
    "max_drawdown": ("최대 낙폭 (MDD)", "자산이 직전 최고점에서 가장 크게 하락한 비율입니다."),
    "max_drawdown_days": (
        "최장 낙폭 기간",
        "고점에서 회복까지 가장 오래 걸린 기간(달력 일수)입니다. 회복하지 못했으면 마지막 봉까지 셉니다.",
    ),
    "avg_drawdown": ("평균 낙폭", "고점에서 회복까지의 구간마다 가장 깊은 하락을 평균한 값입니다."),
    "exposure": ("시장 노출도", "종가 시점에 포지션을 보유한 봉의 비율입니다."),
    "trades": ("거래 횟수", "진입한 포지션 수입니다. 데이터가 끝날 때 열려 있는 포지션도 포함합니다."),
    "win_rate": ("승률", "수수료를 뺀 뒤 이익이 난 거래의 비율입니다."),
    "avg_trade_return": ("거래당 평균 수익률", "수수료를 뺀 손익을 투입 금액으로 나눈 값의 거래 평균입니다."),
    "best_trade_return": ("최고 거래", "한 거래에서 가장 높은 수익률입니다(수수료 차감 후)."),
    "worst_trade_return": ("최악 거래", "한 거래에서 가장 낮은 수익률입니다(수수료 차감 후)."),
    "profit_factor": (
        "수익 팩터",
        "총이익을 총손실로 나눈 값입니다. 손실 거래가 없으면 계산하지 않습니다.",
    ),
    "expectancy": ("기대 손익", "거래당 평균 손익입니다(결제 통화 기준)."),
    "sqn": ("시스템 품질 (SQN)", "거래당 평균 손익을 표준편차로 나누고 거래 횟수의 제곱근을 곱한 값입니다."),
    "kelly": (
        "켈리 비율",
        "자산이 가장 빠르게 늘었을 투자 비율입니다. 승률에서 패률을 손익비로 나눈 값을 뺍니다.",
    ),
    "avg_bars_held": ("평균 보유 기간", "진입부터 청산까지의 평균 봉 수입니다."),
    "fees_paid": ("수수료 합계", "모든 주문의 수수료입니다(결제 통화 기준)."),
    "final_equity": ("최종 자산", "마지막 종가 기준의 현금과 포지션 평가액입니다(결제 통화 기준)."),
    "peak_equity": ("최고 자산", "종가 기준으로 가장 높았던 자산입니다(결제 통화 기준)."),
    "buy_hold_return": (
        "매수 후 보유",
        "자금을 나누어 각 종목을 첫 종가에 사서 계속 보유했을 때의 수익률입니다. 수수료는 없습니다.",
    ),
    "alpha": ("알파", "매수 후 보유에 대한 노출로 설명되지 않는 연 초과 수익률입니다(젠센)."),
    "beta": (
        "베타",
        "계좌가 매수 후 보유를 따라 움직이는 정도입니다. 1이면 똑같이, 0이면 무관하게 움직입니다.",
    ),
    "value_at_risk_95": ("최대 예상 손실 (VaR 95 %)", "스무 봉 가운데 한 봉꼴로 이보다 큰 손실이 납니다."),
    "skew": ("왜도", "봉 수익률의 비대칭도입니다. 큰 손실이 큰 이익보다 잦으면 음수입니다."),
    "kurtosis": ("초과 첨도", "정규 분포(0)와 견주어 극단적인 수익률이 얼마나 잦은지 나타냅니다."),
    "signals": ("신호 수", "전략이 낸 진입 신호 수입니다. 실제 진입 여부와는 무관합니다."),
    "signal_win_rate": (
        "신호 승률",
        "청산된 신호 가운데 가격이 예상한 방향으로 움직인 비율입니다(수수료 차감 전).",
    ),
    "signal_avg_return": (
        "신호당 평균 수익률",
        "청산된 신호의 종가 대 종가 평균 수익률입니다(수수료 차감 전).",
    ),
    "signal_max_drawdown": (
        "신호 낙폭",
        "신호를 차례로 따라 1을 복리로 굴렸을 때 고점에서 가장 크게 하락한 비율입니다.",
    ),
    "periods_per_year": (
        "연간 봉 수",
        "수익률을 연율화하는 기준입니다. 시장 달력에 따른 365일 또는 252거래일에 하루의 봉 수를 곱합니다.",
    ),
}

KOREAN_FAMILIES = {
    "Return": "수익",
    "Risk": "위험",
    "Trades": "거래",
    "Benchmark": "벤치마크",
    "Signals by themselves": "신호 자체",
    "Calendar": "달력",
}


def korean_of_metrics() -> dict[str, str]:
    """The Korean of every title, explanation and family of the catalogue, by the English."""
    texts = dict(KOREAN_FAMILIES)
    for name, (title, meaning) in KOREAN_METRICS.items():
        texts[METRICS[name].title] = title
        texts[METRICS[name].meaning] = meaning
    return texts
