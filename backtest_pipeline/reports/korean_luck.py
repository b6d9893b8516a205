"""What reports say of luck and skill, in Korean by the English."""

from __future__ import annotations

from backtest_pipeline.model import luck_verdict

KOREAN_LUCK: dict[str, str] = {
    luck_verdict.LOOKED_AHEAD: (
        "운도 실력도 아닙니다: 전략이 미래를 참조하므로 실제 거래에서는 얻을 수 없는 결과입니다."
    ),
    luck_verdict.UNDEFINED: "샤프 비율 없음: 계좌 수익률에 변동이 없어 운과 실력을 가릴 수 없습니다.",
    luck_verdict.LOSING: "{1} 샤프 {0}: 수익이 없으므로 운과 실력을 가릴 것이 없습니다.",
    luck_verdict.FIRST: "{1} 샤프 {0}, 알려진 첫 시행입니다.",
    luck_verdict.CHOSEN: (
        "{2}에서 {3}부터 {1}회 시행한 뒤의 샤프 {0}: "
        "모두 가치가 없어도 그만큼 시행하면 최고는 {4}이(가) 됩니다."
    ),
    luck_verdict.CHOSEN_ALIKE: (
        "{2}에서 {3}부터 {1}회 시행한 뒤의 샤프 {0}: 서로 다른 시행 {5}개와 같고, "
        "모두 가치가 없어도 그중 최고는 {4}이(가) 됩니다."
    ),
    luck_verdict.CHOSEN_HERE: (
        "{2}에서 {1}회 시행한 뒤의 샤프 {0}: 서로 다른 시행 {5}개와 같고, "
        "모두 가치가 없어도 그중 최고는 {4}이(가) 됩니다."
    ),
    luck_verdict.OUT_OF_SAMPLE: "표본 외, 폴드 {0}개: {2} 샤프 {1}.",
    luck_verdict.OUT_OF_SAMPLE_PATHS: "표본 외, 경로 {0}개의 중앙값: {2} 샤프 {1}.",
    luck_verdict.OUT_OF_SAMPLE_LOSING: (
        "표본 외에서 수익이 없습니다: {1} 샤프 {0}, 운과 실력을 가릴 것이 없습니다."
    ),
    luck_verdict.EFFICIENT: "표본 내에서 보인 연 수익률의 {0}을(를) 유지했습니다.",
    luck_verdict.TRIED_BEFORE: (
        "이 캔들에서 전진 분석이 {0}번째이며, 모두 가치가 없어도 그중 최고는 {1}이(가) 됩니다."
    ),
    "Walk-forwards": "전진 분석",
    "Different walk-forwards of this strategy that anybody has run on these candles.": (
        "누구든 이 캔들에서 이 전략으로 실행한 서로 다른 전진 분석의 수입니다."
    ),
    "Efficiency": "효율",
    "Annual return out of sample over the mean of the winners in sample: 1 kept everything.": (
        "표본 외 연 수익률을 표본 내 승자들의 평균으로 나눈 값입니다: 1이면 모두 유지한 것입니다."
    ),
    "Profitable tests": "수익이 난 테스트",
    "Share of the test parts that made money.": "돈을 번 테스트 구간의 비율입니다.",
    "In sample against out": "표본 내와 표본 외",
    "Rank correlation of the objective in trainings and tests: below 0, winning meant nothing.": (
        "학습과 테스트에서 목표값의 순위 상관입니다: 0 이하이면 승리는 의미가 없었습니다."
    ),
    "Losing paths": "손실 경로",
    "Share of the paths through all folds that lost money.": (
        "모든 폴드를 지나는 경로 가운데 손실인 비율입니다."
    ),
    luck_verdict.LUCK: "운일 가능성이 큽니다 (수축 샤프 {0}).",
    luck_verdict.EITHER: "운인지 실력인지 아직 알 수 없습니다 (수축 샤프 {0}).",
    luck_verdict.HARDLY_LUCK: "운으로 보기 어렵습니다 (수축 샤프 {0}).",
    luck_verdict.FITTED: (
        "과최적화: 기간을 나눈 경우의 {0}에서 한쪽 절반의 최고가 다른 절반에서 중간에 못 미쳤습니다."
    ),
    "ledger": "시행 장부",
    "1,000 orders": "순서 1,000가지",
    "neighbouring trials": "이웃 시행",
    "Equity within the bands of the bootstrap": "부트스트랩 범위 안의 자산",
    "Distribution of the logits of cross-validation": "교차 검증 로짓의 분포",
    "Walk-forward of": "전진 분석:",
    "Folds on a line of time": "시간 축 위의 폴드",
    "Grey: training. Coloured: the test after it, by profit or loss.": (
        "회색: 학습. 색: 그 뒤의 테스트, 이익과 손실로 구분합니다."
    ),
    "In sample against out of sample": "표본 내와 표본 외 비교",
    "A dot a test. On the dashed line a winner kept all that it had shown in its "
    "training; below zero it lost.": (
        "점 하나가 테스트 하나입니다. 점선 위에서는 승자가 학습에서 보인 것을 모두 유지했고, "
        "0 아래에서는 잃었습니다."
    ),
    "Paths out of sample": "표본 외 경로",
    "Each path trades all folds, each by the winner of a training that has not "
    "seen it. The one in colour is the median, which this report is about.": (
        "각 경로는 모든 폴드를, 그 폴드를 보지 않은 학습의 승자로 거래합니다. "
        "색이 있는 것은 이 보고서가 다루는 중앙값 경로입니다."
    ),
    "Sharpe ratios of the paths": "경로별 샤프 비율",
    "How stable the choice was": "선택의 안정성",
    "A search that has found something chooses alike from fold to fold.": (
        "무언가를 찾은 탐색은 폴드마다 비슷하게 선택합니다."
    ),
    "name": "이름",
    "chosen most often": "가장 자주 선택된 값",
    "share of the folds": "폴드 비율",
    "different values chosen": "선택된 서로 다른 값",
    "Fold by fold": "폴드별",
    "fold": "폴드",
    "test": "테스트",
    "trial": "시행",
    "in sample": "표본 내",
    "out of sample": "표본 외",
    "Luck or skill": "운인가 실력인가",
    "Probabilistic Sharpe": "확률적 샤프",
    "Probability that the true Sharpe ratio is above zero, if this had been the only trial.": (
        "이것이 유일한 시행이었다면 참 샤프 비율이 0보다 클 확률입니다."
    ),
    "Bars needed": "필요한 봉 수",
    "How long a record with these returns must be to be believed at 95 %.": (
        "이런 수익률을 95% 확신하려면 필요한 기록의 길이입니다."
    ),
    "Trials": "시행",
    "Different settings of this strategy that anybody has tried on these candles.": (
        "누구든 이 캔들에서 이 전략으로 시도한 서로 다른 설정의 수입니다."
    ),
    "Unlike trials": "서로 다른 시행",
    "How many groups of trials there are whose returns rise and fall together.": (
        "수익률이 함께 오르내리는 시행을 하나로 묶은 무리의 수입니다."
    ),
    "Deflated Sharpe": "수축 샤프",
    "Probability that the true Sharpe ratio is above what the search alone would show.": (
        "참 샤프 비율이 탐색만으로 나올 값보다 클 확률입니다."
    ),
    "Sharpe, 90 % interval": "샤프 90% 구간",
    "Where the ratio lies in histories that are made of pieces of this one.": (
        "이 기록의 조각으로 다시 만든 기록들에서 샤프 비율이 놓이는 구간입니다."
    ),
    "Annual growth, 90 % interval": "연 성장률 90% 구간",
    "Where the annual growth lies in such histories.": "그런 기록들에서 연 성장률이 놓이는 구간입니다.",
    "Maximum drawdown, 90 % interval": "최대 낙폭 90% 구간",
    "How deep the account falls in such histories.": "그런 기록들에서 계좌가 떨어지는 깊이입니다.",
    "Drawdown of shuffled trades": "거래 순서를 섞은 낙폭",
    "One order of the same trades in twenty falls deeper. It says nothing of the return.": (
        "같은 거래의 순서를 섞으면 스무 번에 한 번은 더 깊이 떨어집니다. 수익률과는 무관합니다."
    ),
    "Probability of overfitting": "과최적화 확률",
    "How often the winner of one half of the time is below the middle in the other half.": (
        "기간의 한쪽 절반에서 최고인 시행이 다른 절반에서 중간에 못 미치는 빈도입니다."
    ),
    "Superior ability, p-value": "우월성 검정 p값",
    "How often the best of worthless trials would earn as much for its risk.": (
        "가치 없는 시행들의 최고가 위험 대비 이만큼 벌 빈도입니다."
    ),
    "Reality check, p-value": "현실성 검정 p값",
    "How often the best of worthless trials would earn as much.": (
        "가치 없는 시행들의 최고가 이만큼 벌 빈도입니다."
    ),
    "Kept by neighbours": "이웃이 유지하는 몫",
    "Which share of the winner's lead over the median trial its neighbours have as well.": (
        "중앙값 시행에 대한 최고 결과의 우위를 이웃도 얼마나 가지는지입니다."
    ),
    "Equity within the bands that nine in ten histories of its own pieces stay in": (
        "제 조각으로 다시 만든 기록 열에 아홉이 머무는 띠 안의 자산"
    ),
    "Logits of cross-validation: left of the line, the winner of one half failed in the other": (
        "교차 검증의 로짓: 선 왼쪽은 한쪽 절반의 최고가 다른 절반에서 실패한 경우"
    ),
}
