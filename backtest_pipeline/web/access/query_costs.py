"""What a GraphQL document may cost, known before Dagster validates it or answers.

Fragments are counted wherever they are spread. Dagster's own pages stay far below the limits;
`backtest_pipeline_tests/web/test_query_costs.py` measures their queries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from backtest_pipeline.web.access.refusal import Refusal

MOST_TOKENS = 20_000
MOST_FIELDS = 10_000
MOST_DEPTH = 40
MOST_OF_ONE_FIELD = 250
MOST_OPERATIONS = 50
MOST_FRAGMENTS = 300
MOST_COMPARISONS = 20_000
"""Of fields with one name at one place, which are compared in pairs when a document is validated."""

Fragments = Mapping[str, FragmentDefinitionNode]


def refuse_costly(document: DocumentNode) -> None:
    """Lets through what can be validated and answered in bounded time.

    Raises:
        Refusal: it has too many parts or fields, one of them too often, or nests too deep.
    """
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    fragments = {
        one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
    }
    if len(operations) > MOST_OPERATIONS or len(document.definitions) - len(operations) > MOST_FRAGMENTS:
        raise Refusal(
            400, f"send at most {MOST_OPERATIONS} operations and {MOST_FRAGMENTS} fragments in one document"
        )
    sizes = _Sizes(fragments)
    fields = 0
    for definition in (*operations, *fragments.values()):
        fields += sizes.of(definition.selection_set)[0]
        _refuse_many(fields)
    comparisons = 0
    for definition in (*operations, *fragments.values()):
        comparisons += _comparisons([definition.selection_set], fragments)
        if comparisons > MOST_COMPARISONS:
            raise Refusal(400, "this query names the same fields too often at one place; name each once")


class _Sizes:
    """How many fields and spreads a selection holds, on how many levels; a fragment is looked at once."""

    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self._known: dict[str, tuple[int, int] | None] = {}

    def of(self, selections: SelectionSetNode | None) -> tuple[int, int]:
        fields, deepest = 0, 0
        for selection in selections.selections if selections else ():
            if isinstance(selection, FragmentSpreadNode):
                inside, depth = self._of_fragment(selection.name.value)
            else:
                inside, depth = self.of(selection.selection_set)  # type: ignore[attr-defined]  # a field or an inline fragment
            fields += inside + 1  # spreads too: what holds nothing else would cost nothing
            deepest = max(deepest, depth + 1)
            _refuse_many(fields)
            if deepest > MOST_DEPTH:
                raise Refusal(
                    400, f"this query is nested more than {MOST_DEPTH} levels deep; ask for less at once"
                )
        return fields, deepest

    def _of_fragment(self, name: str) -> tuple[int, int]:
        if name not in self._known:
            self._known[name] = None  # being looked at
            fragment = self._fragments.get(name)
            self._known[name] = self.of(fragment.selection_set) if fragment else (0, 0)
        known = self._known[name]
        if known is None:
            raise Refusal(400, f"the fragment {name[:80]} contains itself; spread it elsewhere")
        return known


def _comparisons(places: Sequence[SelectionSetNode], fragments: Fragments) -> int:
    """Pairs of fields, or of spread fragments, that a validation compares in selections that become one."""
    by_name: dict[str, list[FieldNode]] = {}
    spreads = 0
    for place in places:
        for selection in _flat(place, fragments):
            if isinstance(selection, FieldNode):
                name = (selection.alias or selection.name).value
                by_name.setdefault(name, []).append(selection)
            else:
                spreads += 1
    asked = Counter(fields[0].name.value for fields in by_name.values())
    for name, times in asked.most_common(1):
        if times > MOST_OF_ONE_FIELD:
            raise Refusal(
                400,
                f"this query asks {times:,} times for {name[:80]} at one place; ask at most "
                f"{MOST_OF_ONE_FIELD} times and send the others in further requests",
            )
    found = spreads * (spreads - 1) // 2
    for fields in by_name.values():
        found += len(fields) * (len(fields) - 1) // 2
        if found > MOST_COMPARISONS:
            return found
        inside = [one.selection_set for one in fields if one.selection_set]
        found += _comparisons(inside, fragments) if inside else 0
    return found


def _flat(place: SelectionSetNode, fragments: Fragments) -> Iterator[FieldNode | FragmentSpreadNode]:
    """The fields of a selection with those of its fragments, and each spread itself."""
    for selection in place.selections:
        if isinstance(selection, FieldNode):
            yield selection
        elif isinstance(selection, InlineFragmentNode):
            yield from _flat(selection.selection_set, fragments)
        elif isinstance(selection, FragmentSpreadNode):
            yield selection
            if selection.name.value in fragments:
                yield from _flat(fragments[selection.name.value].selection_set, fragments)


def _refuse_many(fields: int) -> None:
    if fields > MOST_FIELDS:
        raise Refusal(
            400, f"this query asks for more than {MOST_FIELDS:,} fields; ask for less, in several requests"
        )
