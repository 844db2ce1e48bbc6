"""Hold the predicted bytes of checkpoints against published ones, class by class.

    python benchmarks/checkpoint_accuracy.py FILE [--configs DIR] [--rows]

FILE (JSON or YAML) is a list of rows, or a mapping with `rows`. A row has the repository (`id`, or `model` where the id is a name of its own) and its size in
`checkpoint_gib` or `gib` (GiB) or `gb` (decimal GB). It may say more: `class`; the shape as `of` (a catalogue entry), `config` (a file) or `shape` (values of a
config.json); the `quantization` that its config.json holds; `besides`, what the files hold besides, in the same unit; `left_out`, why it says nothing.
Where it does not, the shape is that of DIR/ORG__MODEL.json, of the catalogue's entry, or of the entry that lists the repository as a checkpoint, whose layout,
groups and ignored roles then count. A row with `file_size_gib` is a GGUF file of the type `quant`. Rows with no shape, and rows whose
quantisation nothing describes, are named and not scored.

Printed: rows, median, p90 and worst deviation in percent of the published size. The bar: quantised, median within 1 %, worst within 5 %.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from generator.architecture.config import from_config
from generator.architecture.shape import ModelArchitecture
from generator.errors import GenDeployError, fold
from generator.facts.model import config_of
from generator.quantity import GIB
from generator.readers.document import read_json
from generator.rulebook.book import RuleBook, load
from generator.sizing.gguf import gguf_bytes
from generator.sizing.weights import checkpoint_bytes

Row = Mapping[str, Any]

CONFIGS = [Path(__file__).resolve().parents[1] / "tests" / "data" / name for name in ("configs", "checkpoints")]
MEDIAN, WORST = 1.0, 5.0
"""The bar, in percent."""


class NoEstimate(Exception):
    """Why a row cannot be scored."""


class Score(NamedTuple):
    """A row's class, what we say and what is published, in bytes."""

    klass: str
    told: float
    published: float

    @property
    def deviation(self) -> float:
        """In percent of what is published."""
        return 100 * (self.told / self.published - 1)


def repository(row: Row) -> str:
    """The repository that a row is about."""
    return str(row["model"] if "model" in row else row["id"]).partition(" (")[0]


def score(row: Row, book: RuleBook, folders: Iterable[Path] = ()) -> Score:
    """One row; `NoEstimate` where nothing says its shape or its quantisation."""
    if "left_out" in row:
        raise NoEstimate(str(row["left_out"]))
    if "duplicate" in str(row.get("notes")) and "besides" not in row:
        raise NoEstimate("its repository holds weights twice, and how much of them is not said")
    sizes = [float(row[key]) for key in ("gb", "gib", "checkpoint_gib", "file_size_gib") if row.get(key) is not None]
    if not sizes:
        raise NoEstimate("it has no size")
    size, besides = (value * (1e9 if "gb" in row else GIB) for value in (sizes[0], float(row.get("besides", 0))))
    told, klass = (_gguf if "file_size_gib" in row else _told)(row, book, [*folders, *CONFIGS])
    return Score(str(row.get("class") or klass), told, size - besides)


def _told(row: Row, book: RuleBook, folders: list[Path]) -> tuple[int, str]:
    """Bytes that we predict, and the class as we see it."""
    config = _config(row, book, folders)
    if config is not None:
        if "quantization" in row:
            config = {**config, "quantization_config": row["quantization"]}
        architecture = from_config(config, book.section("families"))
        own = architecture.quantization
        if own is None and _quantised(row):
            raise NoEstimate(f"its config.json, as we have it, does not say how it is quantised ({row.get('quant')})")
        return checkpoint_bytes(architecture, {}, "published"), _class(architecture)
    for name, entry in book.section("models").items():
        for method, listed in (entry.get("checkpoints") or {}).items():
            for one in listed if isinstance(listed, list) else [listed]:
                if one["id"] == repository(row) and method != "gguf":
                    return _listed(name, method, one, book), method
    raise NoEstimate("no config.json, and the catalogue does not have it")


def _gguf(row: Row, book: RuleBook, folders: list[Path]) -> tuple[int, str]:
    """Bytes of a GGUF file of the row's type. The low types and all `iq` ones are made with an importance matrix."""
    method = f"gguf-{str(row['quant']).lower()}"
    config, entry = _config({**row, "quant": None}, book, folders), book.section("methods").get(method)
    if config is None or entry is None:
        raise NoEstimate(f"no config.json, or {row['quant']} is no type that we have")
    found = gguf_bytes(from_config(config, book.section("families")), entry, book.section("ggml_types"), method.startswith(("gguf-iq", "gguf-q2")))
    return found, "gguf"


def _listed(name: str, method: str, listed: Mapping[str, Any], book: RuleBook) -> int:
    """Bytes of a checkpoint that the catalogue lists for a model."""
    config = config_of(name, book)
    if config is None:
        raise NoEstimate("the catalogue has only a size for its model")
    entry = book.section("methods")[method]
    own = {
        "keeps_16bit": [*entry["keeps_16bit"], *(listed.get("ignore") or ())],
        "group_size": listed.get("group_size") or entry.get("group_size"),
        "layout": listed.get("layout") or "",
    }
    return checkpoint_bytes(from_config(config, book.section("families")), {**entry, **own}, "made")


def _config(row: Row, book: RuleBook, folders: list[Path]) -> Mapping[str, Any] | None:
    """The config.json of a row's shape."""
    if "shape" in row:
        shape: Mapping[str, Any] = row["shape"]
        return shape
    if "of" not in row:
        file = f"{row.get('config') or repository(row).replace('/', '__')}.json"
        path = next((folder / file for folder in folders if (folder / file).is_file()), None)
        if path is not None and not (_quantised(row) and "quantization_config" not in read_json(path)):
            found: Mapping[str, Any] = read_json(path)
            return found
    name = row.get("of") or book.index("models").get(fold(repository(row)))
    return config_of(name, book) if name else None


def _quantised(row: Row) -> bool:
    quant = str(row.get("quant") or "").lower()
    return bool(quant) and not quant.startswith(("bf16", "fp16", "bfloat", "float16"))


def _class(architecture: ModelArchitecture) -> str:
    own = architecture.quantization
    if own is None:
        return "16-bit"
    return own.layout if own.layout == "compressed-tensors" and own.method in ("awq", "gptq") else own.method


def table(scores: Mapping[str, list[float]]) -> str:
    """Rows, median, p90 and worst of each class, of all quantised ones, and of all."""
    lines = [f"{'class':24}{'rows':>6}{'median':>10}{'p90':>10}{'worst':>10}"]
    quantised = [value for klass, values in scores.items() if klass not in ("16-bit", "gguf") for value in values]
    whole = [value for values in scores.values() for value in values]
    for name, values in [*sorted(scores.items()), ("all quantised", quantised), ("all", whole)]:
        if values:
            median, p90, worst = summary(values)
            lines.append(f"{name:24}{len(values):6}{median:9.2f}%{p90:9.2f}%{worst:9.2f}%")
    return "\n".join(lines)


def summary(deviations: Iterable[float]) -> tuple[float, float, float]:
    """Median, 90th percentile and worst of absolute deviations."""
    values = sorted(abs(value) for value in deviations)
    return statistics.median(values), values[min(len(values) - 1, int(0.9 * len(values)))], values[-1]


def read_rows(path: Path) -> list[Row]:
    """The rows of a file."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows: list[Row] = data["rows"] if isinstance(data, dict) else data
    return rows


def main() -> int:
    """Print the table and the rows without an estimate; 1 where quantised checkpoints miss the bar."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--configs", type=Path, metavar="DIR", help="config.json files named ORG__MODEL.json")
    parser.add_argument("--rows", action="store_true", help="every row, worst first")
    args = parser.parse_args()
    book = load("default")
    scores: dict[str, list[float]] = {}
    every: list[tuple[Score, str]] = []
    without: list[str] = []
    for row in read_rows(args.file):
        try:
            one = score(row, book, [args.configs] if args.configs else [])
        except (NoEstimate, GenDeployError) as error:
            without.append(f"  {repository(row)}: {error}")
            continue
        scores.setdefault(one.klass, []).append(one.deviation)
        every.append((one, repository(row)))
    print(table(scores))
    if args.rows:
        for one, name in sorted(every, key=lambda pair: -abs(pair[0].deviation)):
            print(f"{one.deviation:8.2f}%  {one.told / GIB:9.3f} of {one.published / GIB:9.3f} GiB  {one.klass:20}{name}")
    print(f"\nwithout an estimate: {len(without)}", *without, sep="\n")
    missed = [value for klass, values in scores.items() if klass != "16-bit" for value in values]
    median, _, worst = summary(missed) if missed else (0.0, 0.0, 0.0)
    return 1 if median > MEDIAN or worst > WORST else 0


if __name__ == "__main__":
    sys.exit(main())
