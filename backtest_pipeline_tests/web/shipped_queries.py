"""The GraphQL documents of Dagster's own pages, as its web server ships them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import dagster_webserver
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

_PAGES = Path(dagster_webserver.__file__).parent / "webapp" / "build"
# A tagged template's texts, as the bundle has them: ["\n  query A {…", "\n"].
_TEMPLATE = re.compile(r'\["\\n(?:[^"\\]|\\.)*"(?:,"(?:[^"\\]|\\.)*")*\]')
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')


def shipped_queries() -> dict[str, str]:
    """Each operation with the fragments that it needs, by name."""
    operations: dict[str, OperationDefinitionNode] = {}
    fragments: dict[str, FragmentDefinitionNode] = {}
    for document in _documents():
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode) and definition.name:
                operations[definition.name.value] = definition
            elif isinstance(definition, FragmentDefinitionNode):
                fragments[definition.name.value] = definition
    return {
        name: "\n".join(map(print_ast, [operation, *_needed(operation, fragments).values()]))
        for name, operation in operations.items()
    }


def _documents() -> Iterator[DocumentNode]:
    for path in sorted(_PAGES.rglob("*.js")):
        for template in _TEMPLATE.findall(path.read_text()):
            text = "\n".join(json.loads(part) for part in _TEXT.findall(template))
            if re.search(r"\b(?:query|mutation|subscription|fragment) \w", text):
                try:
                    yield parse(text)
                except GraphQLError:
                    continue  # a text that only speaks of queries


def _needed(
    operation: OperationDefinitionNode, fragments: dict[str, FragmentDefinitionNode]
) -> dict[str, FragmentDefinitionNode]:
    found: dict[str, FragmentDefinitionNode] = {}
    left = _spread_in(operation)
    while left:
        name = left.pop()
        if name in fragments and name not in found:
            found[name] = fragments[name]
            left |= _spread_in(fragments[name])
    return found


def _spread_in(node: OperationDefinitionNode | FragmentDefinitionNode) -> set[str]:
    names = set()

    class Spreads(Visitor):
        def enter_fragment_spread(self, spread: FragmentSpreadNode, *_: object) -> None:
            names.add(spread.name.value)

    visit(node, Spreads())
    return names
