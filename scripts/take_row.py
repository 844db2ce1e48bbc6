"""Take rows that `gen-deploy calibrate --share` printed into tests/data/memory/shared.yaml.

    python scripts/take_row.py ROWS.yaml --source https://github.com/…/issues/12      # `-` reads standard input
    python scripts/take_row.py ROWS.yaml --source … --note "started with --skip-mm-profiling"

ROWS.yaml may be an issue's text: the block that begins with `starts:` counts. Each row must have a model and a GPU of the catalogue, a spec
that can be sized, and figures of known terms. Rows of every third new source are set aside as hold-out, before any error is looked at.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks" / "accuracy"))
from shared import FILE, Row, predicted, read  # noqa: E402

from generator.errors import GenDeployError  # noqa: E402

KEYS = {"id", "spec", "logged", "missing"}
LOGGED = {"weights", "consumed", "activations", "cuda_graphs", "runtime", "kv_cache", "kv_tokens", "capacity"}
MOST = 1e13
"""No figure of a log is larger: tokens, or GiB."""


def rows_in(text: str) -> list[Row]:
    """The rows of a text; raises `ValueError` for a text that has none."""
    begins = re.search(r"^starts:$", text, re.MULTILINE)
    if begins is None:
        raise ValueError("no line `starts:`; paste what calibrate --share printed")
    body = text[begins.start() :].partition("\n```")[0]
    rows = yaml.safe_load(body)["starts"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("`starts` is no list of rows")
    return rows


def problems(row: Row, known: list[Row]) -> list[str]:
    """What is wrong with a row."""
    found = [f"unknown key {name!r}" for name in row.keys() - KEYS] + [f"no {name!r}" for name in sorted(KEYS - row.keys() - {"missing"})]
    if found:
        return found
    logged: dict[str, Any] = row["logged"]
    found += [f"unknown term {name!r}" for name in logged.keys() - LOGGED]
    found += [f"{name}: {value!r} is no figure" for name, value in logged.items() if not _figure(value)]
    if any(_same(row, other) for other in known):
        found.append("the same start with the same figures is there already")
    if not found:
        with tempfile.TemporaryDirectory() as folder:
            try:
                predicted(row, Path(folder))
            except GenDeployError as error:
                found.append(str(error).splitlines()[0])
    return found


def _figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value < MOST


def _same(row: Row, other: Row) -> bool:
    return bool(row["spec"] == other["spec"] and row["logged"] == other["logged"])


def origin(source: str) -> str:
    """The source that an address belongs to: a repository, or a host; a text without an address is a source of its own."""
    address = urlsplit(source)
    if address.hostname == "github.com":
        return "/".join(address.path.split("/")[1:3]).lower()
    return address.hostname or source


def set_aside(source: str, known: list[Row]) -> bool:
    """Whether rows of a source are hold-out: as those of the same source are, else every third new source."""
    sources = {origin(row["source"]): bool(row.get("holdout")) for row in known}
    return sources.get(origin(source), (len(sources) + 1) % 3 == 0)


def entry(row: Row, source: str, note: str | None, holdout: bool) -> str:
    """A row as the file has it: a line for each of its parts, JSON's notation for what is in them."""
    parts = {"source": source, **{name: row.get(name) for name in ("spec", "logged", "missing")}, "note": note, "holdout": holdout or None}
    lines = [f"    {name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in parts.items() if value]
    return f"  - id: {row['id']}\n" + "".join(lines)


def main() -> int:
    """Check the rows and append them; exit 1, and write nothing, where one of them is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--source", required=True, help="the address where the row was posted")
    parser.add_argument("--note")
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if urlsplit(options.source).scheme != "https":
        parser.error("--source is no https address")
    known = read(options.file)
    try:
        rows = rows_in(sys.stdin.read() if options.rows == "-" else Path(options.rows).read_text(encoding="utf-8"))
    except (ValueError, OSError, yaml.YAMLError) as error:
        print(error, file=sys.stderr)
        return 1
    wrong = [f"row {number}: {problem}" for number, row in enumerate(rows, 1) for problem in problems(row, known)]
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    ids, holdout = {row["id"] for row in known}, set_aside(options.source, known)
    with options.file.open("a", encoding="utf-8") as out:
        for row in rows:
            name = re.sub(r"[^a-z0-9._-]+", "-", str(row["id"]).lower())
            row["id"] = next(one for one in (name, *(f"{name}-{n}" for n in range(2, 10_000))) if one not in ids)
            ids.add(row["id"])
            out.write(entry(row, options.source, options.note, holdout))
            print(f"{row['id']}{' (hold-out)' if holdout else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
