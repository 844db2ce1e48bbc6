"""What was edited between two rule sets, and an edit laid alone over one of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generator.compare.edits import edits, laid_over
from generator.compare.model import Edit
from generator.compare.spec import side
from generator.readers.document import parse_yaml
from generator.rulebook.book import SECTIONS, RuleBook, load
from generator.rulebook.rules_check import words_of
from generator.spec.deployment import from_document

Sections = dict[str, Any]


def base() -> RuleBook:
    return load("default")


def with_edit(change: Callable[[Sections], None]) -> RuleBook:
    """The default rules with something edited."""
    sections = {name: copy.deepcopy(base().section(name)) for name in SECTIONS}
    change(sections)
    sections["policy"]["ruleset"]["digest"] = "edited"
    return RuleBook(sections)


def rows(sections: Sections, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sections["policy"]["tables"][table]["rows"]
    return found


def value(s: Sections) -> None:
    s["policy"]["thresholds"]["headroom.floor"] |= {"value": 0.5, "checked": "2030-01-01"}


def meaning(s: Sections) -> None:
    s["policy"]["thresholds"]["headroom.floor"]["meaning"] = "another word"


def by_version(s: Sections) -> None:
    name = next(n for n, t in s["policy"]["thresholds"].items() if "by_version" in t)
    s["policy"]["thresholds"][name]["by_version"][-1]["value"] = 12345


def threshold_added(s: Sections) -> None:
    s["policy"]["thresholds"]["a.new"] = {"value": 1, "unit": "count", "source": "handbook", "checked": "2026-01-01"}


def row_removed(s: Sections) -> None:
    del rows(s, "reject")[3]


def row_added(s: Sections) -> None:
    rows(s, "reject").insert(2, {"id": "a-new-row", "when": {"gpus": {"over": 1}}, "because": "x", "at": "x:1"})


def row_reason(s: Sections) -> None:
    rows(s, "reject")[0]["because"] = "another reason"


def row_moved(s: Sections) -> None:
    rows(s, "prefer").insert(0, rows(s, "prefer").pop(5))


def rows_in_another_order(s: Sections) -> None:
    rows(s, "reject").reverse()
    for row in rows(s, "reject"):
        row["at"] = "elsewhere:1"


def gpu(s: Sections) -> None:
    s["gpus"]["L4-24GB"]["memory_gb"] = 23


def quality(s: Sections) -> None:
    s["quality"][0]["loss_percent"] = 77


CASES: list[tuple[Callable[[Sections], None], list[tuple[str, str, bool]]]] = [
    (value, [("thresholds/headroom.floor", "changed", True)]),
    (meaning, [("thresholds/headroom.floor", "changed", False)]),
    (threshold_added, [("thresholds/a.new", "added", True)]),
    (row_removed, [("tables/reject/*", "removed", True)]),
    (row_added, [("tables/reject/a-new-row", "added", True)]),
    (row_reason, [("tables/reject/*", "changed", False)]),
    (row_moved, [("tables/prefer/*", "moved", True)]),
    (rows_in_another_order, []),
    (gpu, [("gpus/L4-24GB", "changed", True)]),
    (quality, [("quality/*", "changed", True)]),
    (by_version, [("thresholds/*", "changed", True)]),
]


def matches(edit: Edit, wanted: tuple[str, str, bool]) -> bool:
    name = wanted[0]
    same = edit.id.startswith(name[:-1]) if name.endswith("*") else edit.id == name
    return same and (edit.action, edit.decisive) == wanted[1:]


@pytest.mark.parametrize(("change", "wanted"), CASES, ids=[change.__name__ for change, _ in CASES])
def test_edits_and_back(change: Callable[[Sections], None], wanted: list[tuple[str, str, bool]]) -> None:
    """Each edit is found, and laid over the old rules gives the new ones."""
    other = with_edit(change)
    found = edits(base(), other)
    assert len(found) == len(wanted)
    assert all(matches(edit, one) for edit, one in zip(found, wanted, strict=True)), found
    assert edits(laid_over(base(), other, found), other) == []
    assert edits(base(), laid_over(other, base(), found)) == []


def test_one_of_several() -> None:
    def several(s: Sections) -> None:
        for change in (value, row_added, row_removed, gpu):
            change(s)

    other = with_edit(several)
    found = edits(base(), other)
    assert len(found) == 4
    for edit in found:
        assert [e.id for e in edits(base(), laid_over(base(), other, [edit]))] == [edit.id]
        assert edit.id not in [e.id for e in edits(laid_over(base(), other, [edit]), other)]


def test_fewest_moves() -> None:
    def moved(s: Sections) -> None:
        table = rows(s, "prefer")
        table.append(table.pop(0))

    found = edits(base(), with_edit(moved))
    assert [(e.action, e.fields[0].old) for e in found] == [("moved", 1)]


def test_the_number_is_told_before_and_after() -> None:
    (edit,) = edits(base(), with_edit(value))
    assert {(f.key, f.new) for f in edit.fields} == {("value", 0.5), ("checked", "2030-01-01")}
    assert edit.at.startswith("rules/default/thresholds/policy.yaml:")
    assert edit.unit == "fraction"


SPEC, _ = from_document(parse_yaml("model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\n", "spec.yaml"), Path("spec.yaml"))
NAMES = sorted({word for table in base().section("policy")["tables"].values() for row in table["rows"] for word in words_of(row)} & base().names.keys())[::3]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_came_with_the_rows_that_read_it(name: str) -> None:
    """A rule set of before a name: each edit alone over the old rules, and taken out of the new ones, decides; so do all together."""

    def without(sections: Sections) -> None:
        sections["policy"]["names"].pop(name)
        for table in sections["policy"]["tables"].values():
            table["rows"] = [row for row in table["rows"] if name not in words_of(row)]

    assert SPEC is not None
    old, new = with_edit(without), base()
    found = edits(old, new)
    assert f"names/{name}" in [edit.id for edit in found]
    for one, other in ((old, new), (new, old)):
        for edit in found:
            assert laid_over(one, other, [edit]).tables  # built, with all that its rows read
        side(SPEC, laid_over(one, other, found[:1]))
        whole = laid_over(one, other, found)
        for title, table in whole.tables.items():
            assert {row.id for row in table.rows} == {row.id for row in other.tables[title].rows}
