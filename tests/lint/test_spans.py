"""Spans of versions: which meet, and what is wrong with a list of them."""

from __future__ import annotations

import pytest

from generator.quantity import version_key
from generator.readers.document import Document
from generator.rulebook.lint.findings import Entry, meet, range_findings

KNOWN = {version_key(version) for version in ("1.0", "1.2", "1.10", "2.0")}


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ({}, {}, True),
        ({"since": "1.0"}, {"until": "2.0"}, True),
        ({"since": "2.0"}, {"until": "2.0"}, False),  # the end is not in it
        ({"until": "1.10"}, {"since": "1.2"}, True),  # versions, not texts
        ({"until": "1.2"}, {"since": "1.10"}, False),
        ({"since": "1.0", "until": "1.2"}, {"since": "1.10"}, False),
        ({"since": "1.0", "until": "2.0"}, {"since": "1.2", "until": "1.10"}, True),
    ],
)
def test_spans_meet(one: dict[str, str], other: dict[str, str], together: bool) -> None:
    assert meet(one, other) is together
    assert meet(other, one) is together


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        ([{"until": "1.2"}, {"since": "1.2"}], []),
        ([{"until": "1.10"}, {"since": "1.2"}], ["versions-overlap"]),
        ({"since": "1.1"}, ["unknown-version"]),
        ({"since": "1.2", "until": "1.2"}, ["empty-range"]),
        ({"since": "1.10", "until": "1.2"}, ["empty-range"]),
        ([{}, {}, {}], ["versions-overlap"] * 3),
        ({"since": "0.1", "until": "0.1"}, ["unknown-version", "unknown-version", "empty-range"]),
    ],
)
def test_findings(entries: Entry | list[Entry], codes: list[str]) -> None:
    found = range_findings(Document("flags.yaml", {}, {}, {}), ("options", "--x"), "--x", entries, KNOWN)
    assert [problem.code for problem in found] == codes
