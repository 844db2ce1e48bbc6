"""The shipped thresholds as `default` has them, read as plainly as can be: the rule book is not under test here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).resolve().parents[1] / "rules"
FILES = sorted([*RULES.glob("physics/*.yaml"), *RULES.glob("default/thresholds/*.yaml")])
THRESHOLDS: dict[str, dict[str, Any]] = {
    name: entry for file in FILES for name, entry in yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)["thresholds"].items()
}
