"""Rows that no combination of the catalogue can match: no engine, method and GPU satisfies all their cells.

Floor 1, pure. Only names determined by the catalogue are considered; other names may have any value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from generator.errors import Problem
from generator.rulebook.book import file_format
from generator.rulebook.lint.tables import Rows, within_steps
from generator.rulebook.overlay import Data, Gathered
from generator.rulebook.table import Test, cell_test


def catalogue_findings(gathered: Gathered) -> Iterator[Problem]:
    """Rows of the topmost layer that no combination of the catalogue can match."""
    rows, merged = Rows(gathered), gathered.merged
    engines, methods, gpus = list(_engines(merged)), list(_methods(merged)), list(_gpus(merged))

    def unmet(name: str) -> Iterator[Problem]:
        for row in (row for table, row, _ in gathered.own_rows() if table == name and rows.boxes(name, row)):
            tests = {key: cell_test(cell, rows.space.bound) for key, cell in (row.get("when") or {}).items()}
            if not _met(tests, engines, methods, gpus):
                place = gathered.in_row(row, "when", key=True)
                yield Problem("unreachable-row", f"no engine, method and GPU of the catalogue matches all cells of {row['id']!r}", place)

    for name in merged["tables"]:
        if name != "workload":
            yield from within_steps(rows, name, unmet(name))


def _met(tests: Mapping[str, Test], engines: list[Data], methods: list[Data], gpus: list[Data]) -> bool:
    def kept(parts: list[Data]) -> list[Data]:
        return [facts for facts in parts if all(test(facts[key]) for key, test in tests.items() if key in facts)]

    engines, methods, gpus = kept(engines), kept(methods), kept(gpus)
    reads, runs = tests.get("engine.reads_format"), tests.get("engine.runs_on_vendor")
    return any(
        (reads is None or reads(method["_format"] in engine["_formats"])) and (runs is None or runs(gpu["gpu.vendor"] in engine["_vendors"]))
        for engine in engines
        for method in methods
        for gpu in gpus
    )


def _engines(merged: Data) -> Iterator[Data]:
    for name, entry in merged["engines"].items():
        yield {"engine": name, "engine.status": entry["status"], "_formats": entry["formats"], "_vendors": entry["vendors"]}


def _methods(merged: Data) -> Iterator[Data]:
    for name, entry in merged["methods"].items():
        yield {
            "method": name,
            "method.family": entry["family"],
            "method.bits": entry["weight_bits"],
            "method.imatrix": (entry.get("gguf") or {}).get("imatrix") == "required",
            "_format": file_format(entry),
        }


def _gpus(merged: Data) -> Iterator[Data]:
    for name, entry in merged["architectures"].items():
        computes = frozenset(entry["computes"])
        yield {"gpu.vendor": entry["vendor"], "gpu.architecture": name, "gpu.computes": computes, "gpu.bf16": "bf16" in computes}
