"""Draw the pictures of README.md and docs/ from pages of `gen-deploy report`: docs/pictures/*.png.

Needs what .ci/page sets up: `CHROMIUM`, and `NODE_PATH` with puppeteer-core. Run by `.ci/page --pictures`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURES = {"report-memory": ("objectives-h100", ".bars"), "report-candidates": ("agents-2xh100", ".candidates")}
"""Name → the example, and the part of its page."""


def main() -> None:
    (ROOT / "docs/pictures").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, (example, part) in PICTURES.items():
            page, picture = Path(folder) / f"{name}.html", ROOT / f"docs/pictures/{name}.png"
            subprocess.run([sys.executable, "-m", "generator", "report", ROOT / f"examples/{example}.yaml", "-o", page], check=True)
            subprocess.run(["node", ROOT / "scripts/look_at_page.mjs", page, "--cut", part, picture], check=True)
            print(picture.relative_to(ROOT), picture.stat().st_size)


if __name__ == "__main__":
    main()
