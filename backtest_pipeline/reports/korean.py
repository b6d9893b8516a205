"""The headings, labels and explanations of reports in Korean, by the English ones; metrics have their own."""

from __future__ import annotations

KOREAN_TEXTS: dict[str, str] = {
    # units and small words
    "{0} days": "{0}일",
    "{0} day": "{0}일",
    "{0} bars": "{0}봉",
    "{0} bar": "{0}봉",
    "bars": "봉",
    "trades": "거래",
    "symbol": "종목",
    "account": "계좌",
    "Year": "연간",
    "Jan": "1월",
    "Feb": "2월",
    "Mar": "3월",
    "Apr": "4월",
    "May": "5월",
    "Jun": "6월",
    "Jul": "7월",
    "Aug": "8월",
    "Sep": "9월",
    "Oct": "10월",
    "Nov": "11월",
    "Dec": "12월",
    "Some charts and tables need JavaScript; the numbers do not.": (
        "일부 차트와 표에는 자바스크립트가 필요하지만 수치는 그대로 볼 수 있습니다."
    ),
    # head
    "task": "작업",
    "not checked for look-ahead": "미래 참조 검사 안 함",
    "no look-ahead found": "미래 참조 없음",
    "the strategy looks ahead": "전략이 미래를 참조함",
    "Before you trust this": "결과를 믿기 전에",
    "volatility {0}": "변동성 {0}",
    "Sortino {0}": "소르티노 {0}",
    "longest {0}": "최장 {0}",
    "average trade {0}": "거래당 평균 {0}",
    "expectancy {0}": "기대 손익 {0}",
    "exposure {0}": "노출도 {0}",
    "fees {0}": "수수료 {0}",
    "{1} {0}": "{1} {0}",
    "level with {1}, {0}": "{1}({0})와 같음",
    "ahead of {1}, {0}": "{1}({0})보다 높음",
    "behind {1}, {0}": "{1}({0})보다 낮음",
    # equity
    "Equity and drawdown": "자산과 낙폭",
    "equity": "자산",
    "buy and hold": "매수 후 보유",
    "drawdown": "낙폭",
    "exposure": "노출도",
    "drag to move, Ctrl and wheel to zoom": "끌어서 이동, Ctrl+휠로 확대·축소",
    "Drawdown (under water)": "낙폭 (언더워터)",
    "Exposure": "시장 노출도",
    "1 y": "1년",
    "3 y": "3년",
    "all": "전체",
    "log scale": "로그 눈금",
    # price
    "Price and trades": "가격과 거래",
    "The candles that this task saw are not available; they have changed since.": (
        "이 작업이 사용한 캔들이 그 뒤 바뀌어 표시할 수 없습니다."
    ),
    "long entry": "매수 진입",
    "short entry": "공매도 진입",
    "exit with a gain": "이익 청산",
    "exit with a loss": "손실 청산",
    "Symbol": "종목",
    "each candle is {0} bars": "캔들 하나가 {0}봉",
    "each candle is one bar": "캔들 하나가 1봉",
    "open": "시가",
    "high": "고가",
    "low": "저가",
    "close": "종가",
    "volume": "거래량",
    # trades
    "Trades": "거래",
    "{0} trades": "거래 {0}건",
    "{0} trade": "거래 {0}건",
    "There was no trade.": "거래가 없습니다.",
    "Click a heading to sort, a row to see the trade in the chart.": (
        "제목을 누르면 정렬되고, 행을 누르면 차트에서 그 거래를 볼 수 있습니다."
    ),
    "The {0} with the largest profit or loss; trades.parquet has all.": (
        "손익이 가장 큰 {0}건입니다. 전체는 trades.parquet에 있습니다."
    ),
    "Side": "방향",
    "Entry (UTC)": "진입 (UTC)",
    "at": "가격",
    "Entry at": "진입가",
    "Exit at": "청산가",
    "Exit (UTC)": "청산 (UTC)",
    "Quantity": "수량",
    "Profit": "손익",
    "Bars": "보유 봉",
    "MAE": "최대 역행 (MAE)",
    "MFE": "최대 순행 (MFE)",
    "how far the price went against the position, at most": "보유 중 불리하게 가장 크게 움직인 폭",
    "how far the price went in the position's favour, at most": "보유 중 유리하게 가장 크게 움직인 폭",
    "Fees": "수수료",
    "Exit by": "청산 사유",
    "Previous": "이전",
    "Next": "다음",
    "{0} to {1} of {2}": "{2}건 중 {0}~{1}",
    "Deepest drawdowns": "가장 깊은 낙폭",
    "There was none.": "없습니다.",
    "Shaded in the chart of the equity; without a recovery, the length is up to the last bar.": (
        "자산 차트에 음영으로 표시됩니다. 회복하지 못한 낙폭의 기간은 마지막 봉까지입니다."
    ),
    "depth": "낙폭",
    "peak (UTC)": "고점 (UTC)",
    "trough (UTC)": "저점 (UTC)",
    "recovery (UTC)": "회복 (UTC)",
    "length": "기간",
    "Monthly returns, percent": "월별 수익률 (%)",
    "Yearly returns": "연도별 수익률",
    "Returns of the trades": "거래 수익률 분포",
    "Returns of the bars": "봉 수익률 분포",
    "A hatched bar gathers everything beyond it.": "빗금 막대는 그 바깥의 값을 모두 합한 것입니다.",
    "The equity never moved.": "자산에 변동이 없습니다.",
    "Over the last {0} bars at each time": "최근 {0}봉 기준 이동 지표",
    "The account has fewer than {0} bars.": "봉이 {0}개보다 적습니다.",
    "Beta to buy and hold": "매수 후 보유 대비 베타",
    # tables of metrics
    "Symbol by symbol": "종목별",
    "All metrics": "모든 지표",
    "Further statistics": "추가 통계",
    "Correlation of the symbols": "종목 간 상관관계",
    "Expected shortfall (CVaR 95 %)": "조건부 손실 (CVaR 95 %)",
    "Mean loss of the worst twentieth of the bars.": "수익률이 가장 나쁜 5% 봉의 평균 손실입니다.",
    "Omega ratio": "오메가 지수",
    "Sum of the bars' gains over the sum of their losses; none without a loss.": (
        "봉 이익의 합을 봉 손실의 합으로 나눈 값입니다. 손실이 없으면 계산하지 않습니다."
    ),
    "Ulcer index": "얼서 지수",
    "Root of the mean squared drawdown: depth and length in one.": (
        "낙폭 제곱 평균의 제곱근입니다. 깊이와 기간을 함께 나타냅니다."
    ),
    "Payoff ratio": "손익비",
    "Mean return of the trades that gained over the mean loss of those that lost.": (
        "이익 거래의 평균 수익률을 손실 거래의 평균 손실률로 나눈 값입니다."
    ),
    "Longest winning streak": "최다 연승",
    "Longest losing streak": "최다 연패",
    "Trades that gained in a row, by their exits.": "청산 순서로 연달아 이익이 난 거래 수입니다.",
    "Trades that lost in a row, by their exits.": "청산 순서로 연달아 손실이 난 거래 수입니다.",
    "Best day": "최고의 날",
    "Worst day": "최악의 날",
    "Best month": "최고의 달",
    "Worst month": "최악의 달",
    "Best year": "최고의 해",
    "Worst year": "최악의 해",
    "The best return of a day.": "하루 수익률 중 가장 높은 값입니다.",
    "The worst return of a day.": "하루 수익률 중 가장 낮은 값입니다.",
    "The best return of a month.": "한 달 수익률 중 가장 높은 값입니다.",
    "The worst return of a month.": "한 달 수익률 중 가장 낮은 값입니다.",
    "The best return of a year.": "한 해 수익률 중 가장 높은 값입니다.",
    "The worst return of a year.": "한 해 수익률 중 가장 낮은 값입니다.",
    # fine print
    "Fine print": "세부 정보",
    "Request": "요청",
    "Checks": "검사",
    "Candles": "캔들",
    "Task": "작업",
    "Versions and machine": "버전과 실행 환경",
    "Files": "파일",
    "check": "검사",
    "fact": "항목",
    "value": "값",
    "candles": "캔들 수",
    "first (UTC)": "처음 (UTC)",
    "last (UTC)": "마지막 (UTC)",
    "SHA-256": "SHA-256",
    "file": "파일",
    "kind": "종류",
    "bytes": "바이트",
    "rows": "행 수",
    # comparison
    "{0} backtests compared": "백테스트 {0}건 비교",
    "{0} sweeps compared": "탐색 {0}건 비교",
    "What differs in the requests": "요청의 차이",
    "Nothing: all ask for the same.": "차이가 없습니다. 요청이 모두 같습니다.",
    "Equity, from 1.0, and drawdown": "자산(1.0에서 시작)과 낙폭",
    "Click a name to hide its curves; drag to move, Ctrl and wheel to zoom.": (
        "이름을 누르면 곡선이 숨겨집니다. 끌어서 이동, Ctrl+휠로 확대·축소합니다."
    ),
    "Click a name to hide its curve; drag to move, Ctrl and wheel to zoom.": (
        "이름을 누르면 곡선이 숨겨집니다. 끌어서 이동, Ctrl+휠로 확대·축소합니다."
    ),
    "Metrics": "지표",
    "The best of each": "각 탐색의 최고 결과",
    "Metrics of the winners": "최고 결과의 지표",
    "Equity of the winners": "최고 결과의 자산",
    "Equity of the winners, from 1.0": "최고 결과의 자산 (1.0에서 시작)",
    "None has a winner.": "최고 결과가 없습니다.",
    "Distribution of the {0}": "{0} 분포",
    "Share of the trials that have one, each sweep by itself; the upright lines are the winners.": (
        "값이 있는 시행의 비율을 탐색별로 나타냅니다. 세로선은 최고 결과입니다."
    ),
    "They rank by different metrics, so their distributions cannot be laid over one another.": (
        "순위 기준 지표가 서로 달라 분포를 겹쳐 그릴 수 없습니다."
    ),
    # sweep
    "Sweep of": "탐색:",
    "The winner looks ahead": "최고 결과가 미래를 참조합니다",
    "of the winner": "최고 결과",
    "Heatmap of two names": "두 변수의 히트맵",
    "Distribution of the objective": "목표 지표 분포",
    "No trial has a {0}.": "{0} 값이 있는 시행이 없습니다.",
    "No trial has a {0}, so there is nothing to draw.": "{0} 값이 있는 시행이 없어 그릴 것이 없습니다.",
    "The winner's neighbourhood": "최고 결과의 주변",
    "A plateau: settings around the winner are about as good; it hangs on no single value.": (
        "고원: 최고 결과 주변의 설정도 비슷하게 좋아 특정한 값 하나에 좌우되지 않습니다."
    ),
    "A slope: settings around the winner are good, but clearly worse than it.": (
        "비탈: 최고 결과 주변의 설정도 좋지만 뚜렷하게 못합니다."
    ),
    "A spike: settings around the winner are no better than most, which speaks of luck.": (
        "뾰족한 봉우리: 최고 결과 주변의 설정이 대부분과 다를 바 없어 우연일 가능성이 큽니다."
    ),
    "Nothing is known of settings right around the winner.": "최고 결과 바로 주변의 설정은 알 수 없습니다.",
    "the winner": "최고 결과",
    "mean of its neighbours": "이웃의 평균",
    "the worst of them": "이웃 중 최악",
    "median of all trials": "전체 시행의 중앙값",
    "of its lead, neighbours keep": "이웃이 유지하는 우위",
    "around it without a value": "주변의 값 없는 시행",
    "Neighbours are at most one step away in each name that has an order, and equal in all others; where the "
    "search draws, within a twentieth of the range.": (
        "이웃은 순서가 있는 변수마다 한 단계 이내이고 나머지는 같은 시행입니다. "
        "무작위 탐색에서는 범위의 20분의 1 이내입니다."
    ),
    "{0} against each name": "변수별 {0}",
    "best that ranks": "순위권 최고",
    "mean": "평균",
    "through the winner, all else as it has it": "나머지를 최고 결과에 맞춘 단면",
    "winner": "최고 결과",
    "Parallel coordinates": "평행 좌표",
    "the best": "상위",
    "% of them": "%",
    "The best trials": "상위 시행",
    "No trial ranks.": "순위에 든 시행이 없습니다.",
    "A heading sorts; a number opens all that is known of the trial; the last column runs it as a backtest "
    "of its own.": (
        "제목을 누르면 정렬되고, 번호를 누르면 그 시행의 모든 정보가 열립니다. "
        "마지막 열로 개별 백테스트를 실행할 수 있습니다."
    ),
    "rank": "순위",
    "trial": "시행",
    "press to see all of it": "누르면 모두 볼 수 있습니다",
    "run it": "실행",
    "launchpad": "런치패드",
    "Equity of the best": "상위 시행의 자산",
    "Click a trial to hide its curve; drag to move, Ctrl and wheel to zoom.": (
        "시행을 누르면 곡선이 숨겨집니다. 끌어서 이동, Ctrl+휠로 확대·축소합니다."
    ),
    "trials": "시행 수",
    "that rank": "순위에 든 수",
    "by": "기준",
    "best": "최고",
    "median": "중앙값",
    "across": "가로",
    "down": "세로",
    "metric": "지표",
    "a cell shows": "칸의 값",
    "its best trial": "최고 시행",
    "the mean of its trials": "시행 평균",
    "any": "전체",
    "mean of the cell": "칸 평균",
    "state": "상태",
    "why": "이유",
    "★ the winner; hatched: no trial that ranks. Arrow keys move, Enter opens a cell.": (
        "★ 최고 결과, 빗금: 순위에 든 시행 없음. 화살표 키로 이동하고 Enter로 칸을 엽니다."
    ),
}
