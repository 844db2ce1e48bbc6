"""Every file of the corpus is what the catalogue of its engine's version takes: no unknown word, on the newest versions no warning.

The whole corpus takes minutes: GEN_DEPLOY_CORPUS=all runs it (as `.ci/engines` does); without it the examples and a part of the grid.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pytest
from corpus import Case, book, cases, example_specs, grid_specs
from proof import record

from generator.verify.files import check_text

PART = 30
"""Of the grid's specs, one in so many is planned by default."""


def chosen() -> Iterator[Case]:
    """The cases of this run."""
    if os.environ.get("GEN_DEPLOY_CORPUS") == "all":
        yield from cases()
    else:
        yield from cases(every=PART)


@pytest.mark.slow
def test_every_file_of_the_corpus_is_taken() -> None:
    plans: Counter[str] = Counter()
    findings: list[str] = []
    for case in chosen():
        plans[f"{case.engine} {case.version}"] += 1
        newest = case.version == book().section("engines")[case.engine]["default_version"]
        checked = 0
        for file in case.files:
            report = check_text(file.path, file.text, book())
            checked += len(report.checked)
            findings += [f"{case.id}: {f}" for f in report.findings if newest or f.severity == "error"]
        assert checked >= 1, f"{case.id}: nothing was read back"
    for name, number in sorted(plans.items()):
        record(f"{name}: gen-deploy verify, all files", number, number - len({f.split(": ")[0] for f in findings if f"/{name.split()[0]}/" in f}))
    assert not findings, "\n".join(findings[:20]) + f"\n{len(findings)} findings"
    assert sum(plans.values()) >= (2000 if os.environ.get("GEN_DEPLOY_CORPUS") == "all" else 100)


def test_the_corpus_is_broad() -> None:
    specs = list(grid_specs())
    assert len(list(example_specs())) >= 30
    assert len(specs) >= 500
    assert {spec["workload"]["profile"] for _, spec in specs} == {"chat", "batch", "rag", "agent", "code", "dev"}
    assert len({spec["pin"].get("engine_version") for _, spec in specs}) > 20


def test_a_case_has_settings_and_words() -> None:
    for case in islice(cases(every=40), 20):
        assert case.candidate.settings
        assert case.words or case.engine == "ollama"
