"""A model's `config.json` as engines read it: with ModelOpt's `hf_quant_config.json` beside it, and Python's numbers. Floor 3; reads these
two files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from generator.architecture.quantization import with_quant_file
from generator.readers.document import read_json

QUANT_FILE = "hf_quant_config.json"


def read_config(path: Path, allowed: Callable[[Path], Path] | None = None) -> Mapping[str, object]:
    """The config at `path`, with the quantization that the file beside it names; `allowed` raises where that file may not be read. Python
    writes `Infinity` and `NaN` into JSON, and published configs hold them; in other files they are errors."""
    config, beside = read_json(path, constants=True), path.with_name(QUANT_FILE)
    if not beside.is_file():
        return config
    return with_quant_file(config, read_json(allowed(beside) if allowed else beside, constants=True))
