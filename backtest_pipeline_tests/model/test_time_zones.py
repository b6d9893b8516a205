import pytest

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.span import zone_of
from backtest_pipeline.model.time_zones import known_zone
from backtest_pipeline.settings import Settings

# Unknown, a folder of zones, nothing, a way out of the folder, and what no file can be called.
NO_ZONES = ["Mars/Olympus", "Asia", "", "../UTC", "a\0b"]


@pytest.mark.parametrize("name", ["UTC", "Asia/Seoul", "America/New_York"])
def test_a_zone_is_known_by_its_name(name: str) -> None:
    assert known_zone(name).key == name


@pytest.mark.parametrize("name", NO_ZONES)
def test_what_is_no_zone_is_refused_in_the_same_words_wherever_it_is_given(name: str) -> None:
    words = "is no time zone; write one like UTC or Asia/Seoul"
    with pytest.raises(ValueError, match=words):
        known_zone(name)
    with pytest.raises(RequestInvalid, match=words):
        zone_of(name)
    with pytest.raises(ValueError, match=words):
        Settings(candle_timezone=name)
    with pytest.raises(ValueError, match=words):
        SymbolRecord(calendar="24/7", timezone=name)
