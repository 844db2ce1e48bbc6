"""The catalogue as rows: GPUs, models, methods, engines and rules, with the handbook's names beside the current ones. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from generator.errors import fold, printable
from generator.facts.engine import resolve_engine, support_of
from generator.rulebook.book import RuleBook

KINDS: Mapping[str, tuple[str, ...]] = {
    "gpus": ("name", "vendor", "architecture", "memory_gb", "capacity_gib", "bandwidth_gb_per_s", "fp16_tflops"),
    "models": ("name", "family", "billion", "looked_at", "checkpoints"),
    "methods": ("name", "bits", "group_size", "handbook_precision", "handbook_compression", "handbook_speed", "loss_percent", "use"),
    "engines": ("name", "version", "status", "formats", "vendors", "throughput", "use", "handbook_use"),
    "rules": ("name", "table", "because", "source", "at"),
}
"""The text table's columns of each kind; JSON has more."""


def rows_of(kind: str, book: RuleBook, word: str = "") -> list[dict[str, object]]:
    """The rows of a kind whose name has `word` in it, as plain data."""
    return [row for row in _rows(kind, book) if fold(word) in fold(str(row["name"]))]


def _rows(kind: str, book: RuleBook) -> list[dict[str, object]]:
    if kind == "rules":
        return [
            {"name": row.id, "table": table.name, "because": row.because, "source": row.source, "at": row.at}
            for table in book.tables.values()
            for row in table.rows
        ]
    entries, make = book.section(kind), {"models": _model, "methods": _method, "engines": _engine}.get(kind)
    return [{"name": name, **(make(name, book) if make else entries[name])} for name in entries]


def _model(name: str, book: RuleBook) -> dict[str, object]:
    from generator.facts.model import shape_of

    entry = book.section("models")[name]
    kept = {k: v for k, v in entry.items() if k not in ("config", "config_overrides", "checkpoints")}
    architecture = shape_of(name, book)
    billion = round(architecture.parameters / 1e9, 2) if architecture else None
    named = entry.get("source")
    read = [str(source["read"]) for key in (named if isinstance(named, list) else [named]) if (source := book.source(key)) and source.get("read")]
    return {**kept, "billion": billion, "looked_at": max(read, default=None), "checkpoints": sorted(entry.get("checkpoints") or {})}


def _method(name: str, book: RuleBook) -> dict[str, object]:
    entry = book.section("methods")[name]
    handbook = _handbook(entry)
    losses = {f"from {row['models_from_billion']}B": row["loss_percent"] for row in book.quality.get(name, ())}
    values = [loss["value"] for loss in losses.values()]
    keys = ("title", "family", "activation_bits", "group_size", "desc_act", "kernel", "keeps_16bit", "checkpoint", "use", "source")
    return {
        **{key: entry.get(key) for key in keys},
        "bits": entry["weight_bits"],
        "compression_vs_fp32": round(32 / entry["weight_bits"], 2),
        "handbook_precision": handbook.get("precision"),
        "handbook_compression": handbook.get("compression_vs_fp32"),
        "handbook_speed": handbook.get("speed"),
        "loss_percent": None if not values else f"{min(values):g} to {max(values):g}" if len(values) > 1 else f"{values[0]:g}",
        "losses": losses,
    }


def _engine(name: str, book: RuleBook) -> dict[str, object]:
    entry = book.section("engines")[name]
    handbook = _handbook(entry)
    engine, rows = resolve_engine(name, None, book), book.section("support").get(name, {}).get("support", {})
    works = sorted(method for method in rows if any(support_of(book, engine, method, one)[0] == "yes" for one in book.section("architectures")))
    keys = ("title", "status", "formats", "vendors", "features", "throughput", "use", "source")
    whole = {"version": entry["default_version"], "versions": list(entry["versions"]), "methods": works, "handbook_use": handbook.get("use")}
    return {**{key: entry.get(key) for key in keys}, **whole}


def _handbook(entry: Mapping[str, object]) -> Mapping[str, object]:
    found = entry.get("handbook")
    return found if isinstance(found, Mapping) else {}


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Rows as aligned text below the column names."""
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[_word(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return printable("\n".join("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in cells))


def _word(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "-"
    return str(value)
