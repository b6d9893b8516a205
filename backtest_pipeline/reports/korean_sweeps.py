"""What comparisons and reports of sweeps say, in Korean by the English."""

from __future__ import annotations

from backtest_pipeline.reports import outcome_texts

_TRIALS = "{1} 탐색 {0}회 시행: 완료 {2}, 무효 {3}, 실패 {4}."


def _ranking(*, where: bool, more: bool) -> str:
    among = "{2} 조건에서 " if where else ""
    return f"{among}{{1}} 기준으로 {{0}}회가 순위에 들었습니다 ({'클수록' if more else '작을수록'} 좋음)."


KOREAN_SWEEPS: dict[str, str] = {
    outcome_texts.ONE_TRIAL: _TRIALS,
    outcome_texts.TRIALS: _TRIALS,
    outcome_texts.NO_WINNER: "{0} 기준으로 순위에 든 시행이 없어 최고 결과도 없습니다.",
    outcome_texts.NO_WINNER_WHERE: "{1} 조건에서 {0} 기준으로 순위에 든 시행이 없어 최고 결과도 없습니다.",
    outcome_texts.BEST: "최고는 시행 {0}이며 값은 {1}입니다: {2}.",
    **{
        outcome_texts.ranking_template(one=one, where=where, more=more): _ranking(where=where, more=more)
        for one in (False, True)
        for where in (False, True)
        for more in (False, True)
    },
    "completed": "완료",
    "invalid": "무효",
    "failed": "실패",
    "grid": "격자",
    "random": "무작위",
    "Its signals know bars that had not closed yet, so its numbers, and likely those of all trials, cannot "
    "be had in trading. See look_ahead in the fine print.": (
        "신호가 아직 마감되지 않은 봉을 알고 있으므로 이 수치와 아마도 모든 시행의 수치는 "
        "실제 거래에서 얻을 수 없습니다. 세부 정보의 look_ahead를 보세요."
    ),
    "{0} to {1}": "{0} ~ {1}",
    "{0} to {1}, {2} values": "{0} ~ {1}, 값 {2}개",
    "{0} trial has a {1}.": "{1} 값이 있는 시행은 {0}회입니다.",
    "{0} trials have a {1}.": "{1} 값이 있는 시행은 {0}회입니다.",
    "{0} that lie far out count in the outermost bars.": "멀리 벗어난 {0}회는 가장 바깥 막대에 넣었습니다.",
    "explains {0} of the variance": "분산 설명력 {0}",
    "The {0} that move it least are left out.": "영향이 가장 작은 {0}개는 생략했습니다.",
    "Shades say how many trials there are.": "짙을수록 시행이 많습니다.",
    **{
        f"{{0}} ranked {noun}, evenly of all ranks; the better, the stronger the line. Click a line to see "
        "its trial.": (
            "순위에 든 시행 {0}회를 고르게 골랐습니다. 좋을수록 선이 짙고, 선을 누르면 그 시행이 열립니다."
        )
        for noun in ("trial", "trials")
    },
    # charts and their tips
    "{0} to {1}: {2} trial": "{0} ~ {1}: 시행 {2}회",
    "{0} to {1}: {2} trials": "{0} ~ {1}: 시행 {2}회",
    "Distribution of the {0} of {1} trial": "시행 {1}회의 {0} 분포",
    "Distribution of the {0} of {1} trials": "시행 {1}회의 {0} 분포",
    "Distributions of the {0}": "{0} 분포",
    "{0} against {1}": "{1}에 따른 {0}",
    "Parallel coordinates of trials": "시행의 평행 좌표",
    "winner {0}": "최고 결과 {0}",
    "median {0}": "중앙값 {0}",
    "{0} is": "{0} =",
    "{0} trial, {1} completed": "시행 {0}회, 완료 {1}회",
    "{0} trials, {1} completed": "시행 {0}회, 완료 {1}회",
    "No cell has a {0}.": "{0} 값이 있는 칸이 없습니다.",
    "No cell has a {0} of a trial that ranks.": "순위에 든 시행의 {0} 값이 있는 칸이 없습니다.",
    "Trial {0}": "시행 {0}",
    "trial {0}": "시행 {0}",
    "number {0}": "{0}번",
    "{0}. trial {1}": "{0}. 시행 {1}",
    "none": "없음",
    "Run trial {0}: ": "시행 {0} 실행: ",
    "not varied": "바꾸지 않음",
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
    "The winner is no better than the median of all trials, so it has no lead to keep.": (
        "최고 결과가 모든 시도의 중앙값보다 낫지 않아, 유지할 우위가 없습니다."
    ),
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
