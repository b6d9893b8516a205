"""What the pages of results say, in English and Korean."""

from __future__ import annotations

from typing import Literal

from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.metric_catalog import shown, shown_with_unit
from backtest_pipeline.reports.bilingual import korean_texts

Language = Literal["en", "ko"]

# What reports say too, and the metrics, stand in `korean_texts`.
_KOREAN: dict[str, str] = {
    "Results": "결과",
    "All results": "모든 결과",
    "Running and waiting": "실행 중 · 대기 중",
    "Nothing runs or waits.": "실행 중이거나 대기 중인 작업이 없습니다.",
    "Filters": "필터",
    "{0} active": "{0}개 적용 중",
    "Show": "보기",
    "Clear": "초기화",
    "strategy": "전략",
    "symbols": "종목",
    "user": "사용자",
    "span": "기간",
    "bars from": "봉 시작일",
    "bars to": "봉 종료일",
    "submitted from": "제출일 (부터)",
    "submitted to": "제출일 (까지)",
    "sort by": "정렬",
    "order": "순서",
    "largest first": "큰 값부터",
    "smallest first": "작은 값부터",
    "timeframe": "봉 주기",
    "finished": "종료",
    "duration": "소요 시간",
    "best by the objective": "목표 지표의 최고값",
    "no trial ranks": "순위에 든 시행 없음",
    "passed its checks": "검사 통과",
    "read so far:": "읽은 수:",
    "wider than the page: scroll sideways →": "표가 화면보다 넓습니다. 옆으로 스크롤하세요 →",
    "Backtests and sweeps do not stand side by side: tick one kind.": (
        "백테스트와 탐색은 함께 비교할 수 없습니다. 한 종류만 선택하세요."
    ),
    "These sweeps cannot be compared:": "이 탐색들은 비교할 수 없습니다:",
    "label (name=value)": "라벨 (이름=값)",
    "parameter (name=value)": "매개변수 (이름=값)",
    "varied by a sweep (name)": "탐색에서 바꾼 이름",
    "metric (sharpe > 1)": "지표 (sharpe > 1)",
    "only pinned": "고정된 것만",
    "submitted": "제출",
    "parameters": "매개변수",
    "labels": "라벨",
    "choose": "선택",
    "Compare": "비교",
    "Compare the ticked": "선택한 결과 비교",
    "previous page": "이전",
    "next page": "다음",
    "{0} tasks": "작업 {0}개",
    "{0} trials": "시행 {0}회",
    "No task fits these filters.": "조건에 맞는 작업이 없습니다.",
    "The results are still being read; this table is not complete yet.": (
        "결과를 읽는 중입니다. 아직 전체 목록이 아닙니다."
    ),
    "queued": "대기 중",
    "running": "실행 중",
    "completed": "완료",
    "failed": "실패",
    "cancelled": "취소됨",
    "backtest": "백테스트",
    "sweep": "탐색",
    "walk_forward": "전진 분석",
    "a check failed": "검사 실패",
    "Look-ahead was found: do not believe these numbers.": (
        "미래 참조가 발견되었습니다. 이 수치는 믿을 수 없습니다."
    ),
    "pinned": "고정됨",
    "Pin": "고정",
    "Unpin": "고정 해제",
    "Cancel": "취소",
    "Run again": "다시 실행",
    "Open in launchpad with this request": "이 요청으로 런치패드 열기",
    "Report": "보고서",
    "Dagster run": "Dagster 실행",
    "Error": "오류",
    "You may look only.": "보기 권한만 있습니다.",
    "Equity, from 1.0": "자산 (1.0에서 시작)",
    "benchmark": "벤치마크",
    "Monthly returns": "월별 수익률",
    "difference to the first": "첫 번째와의 차이",
    "month": "월",
    "Tick two to eight completed backtests, or sweeps, to compare them.": (
        "비교할 완료된 백테스트나 탐색을 2~8개 선택하세요."
    ),
    "There is no such task, or its results are gone.": "그런 작업이 없거나 결과가 삭제되었습니다.",
    "Those that could not be read are left out:": "읽을 수 없어 제외된 작업:",
}


class Wording:
    """Words in the language of whoever looks."""

    def __init__(self, accept_language: str) -> None:
        """Chooses by the browser's header `Accept-Language`."""
        self.language: Language = _preferred(accept_language)

    def __call__(self, english: str) -> str:
        """The words in the reader's language; what is a name, such as a strategy's, is not asked for."""
        if self.language == "en":
            return english
        return _KOREAN[english] if english in _KOREAN else korean_texts()[english]

    def counted(self, count: int, noun: str) -> str:
        """How many of something; its Korean stands in the list of words in the plural."""
        if self.language == "en":
            return counted(count, noun)
        return self(f"{{0}} {noun}s").format(f"{count:,}")

    def value(self, name: str, value: float | None) -> str:
        """A metric's value with its unit, as plain text."""
        text = shown(name, value)
        unit = shown_with_unit(name, value).removeprefix(text)
        return self.of_metric(f"{{0}}{unit}").format(text)

    def of_metric(self, english: str) -> str:
        """A metric's title or explanation; of a metric of another version, the name that it has."""
        return korean_texts().get(english, english) if self.language == "ko" else english


def _preferred(accept_language: str) -> Language:
    """Korean where it is wanted more than English."""
    weights: dict[str, float] = {}
    for part in accept_language.split(",")[:20]:
        tag, _, rest = part.strip().partition(";")
        weight = rest.strip().removeprefix("q=")
        try:
            value = float(weight) if weight else 1.0
        except ValueError:
            value = 0.0
        name = tag.strip().lower().partition("-")[0]
        weights[name] = max(value, weights.get(name, 0.0))
    return "ko" if weights.get("ko", 0.0) > weights.get("en", 0.0) else "en"
