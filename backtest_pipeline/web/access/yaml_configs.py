"""Run configs that clients send as YAML, read as Dagster reads them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.plain_data import shortened

LONGEST_CHARACTERS = 65_536
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """PyYAML's own, with dates as texts as in Dagster's loader, without references and repeated names.

    A few references to references stand for more values than any memory holds.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise RequestInvalid(
                [("run config", "YAML with references (*name) is not read; write values out")]
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuses a name that stands twice, of which PyYAML drops the first."""
        names = Counter(name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode))
        twice = [name for name, times in names.items() if times > 1]
        if twice:
            raise RequestInvalid([("run config", f"{shortened(twice[0])} stands there twice; leave out one")])
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    character: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for character, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def loaded(config: Any, *, broken_is_told: bool) -> Any:
    """A run config as data.

    Args:
        config: as it was sent, text being YAML.
        broken_is_told: whether the answer to the request says what is wrong with YAML that is none.

    Raises:
        RequestInvalid: it is too long, no YAML, or has a name twice.
    """
    if not isinstance(config, str):
        return config
    if len(config) > LONGEST_CHARACTERS:
        raise RequestInvalid(
            [("run config", f"write at most {LONGEST_CHARACTERS:,} characters of YAML, or send JSON")]
        )
    try:
        return yaml.load(config, Loader=_Loader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        if broken_is_told:
            return None
        problem = str(error).partition("\n")[0][:200]
        raise RequestInvalid([("run config", f"this is no YAML: {problem}")]) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or too much nesting
        raise RequestInvalid([("run config", "this YAML cannot be read")]) from error
