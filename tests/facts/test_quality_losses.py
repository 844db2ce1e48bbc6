"""The evaluations that published losses are held against, and the page that says how they compare."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from benchmarks import quality_losses
from generator.rulebook.book import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with quality_losses.FILE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_row_says_where_it_was_read(rows: list[dict[str, str]]) -> None:
    methods = load().section("methods")
    assert len(rows) >= 60
    for row in rows:
        assert row["url"].startswith("https://github.com/") and row["tasks"] and row["model"]
        assert date(2024, 1, 1) < date.fromisoformat(row["date"]) <= date(2026, 12, 1)
        assert row["method"] in methods and row["measure"] in ("score", "perplexity") and row["kind"] in ("base", "dense", "moe", "reasoning")
        assert 0.5 < float(row["billion"]) < 2000 and float(row["baseline"]) > 0 and float(row["score"]) > 0
    assert sum(row["date"] >= "2026" for row in rows) >= 50
    assert max(Counter((row["url"], row["model"], row["method"], row["measure"]) for row in rows).values()) == 1


def test_every_third_source_is_set_aside(rows: list[dict[str, str]]) -> None:
    found = quality_losses.rows(quality_losses.FILE, load())
    sources = dict.fromkeys((row.source, row.aside) for row in found)
    assert [aside for _, aside in sources] == [False, False, True] * 3


def test_the_page_says_what_the_script_prints() -> None:
    assert (ROOT / "docs" / "quality.md").read_text(encoding="utf-8") == quality_losses.report(quality_losses.rows(quality_losses.FILE, load()))
