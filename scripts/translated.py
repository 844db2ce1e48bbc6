"""Keeps the Chinese pages in step with the English pages that they translate.

    python scripts/translated.py            says which translations are behind; exit 1 where one is
    python scripts/translated.py --stamp    says that each translation is up to date with its English page as it is now

A translation begins with `<!-- translation of PATH, DIGEST -->`. The digest is of the English page without its generated blocks, so
figures that a script writes do not put a translation behind.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP = re.compile(r"<!-- translation of (\S+), ([0-9a-f]{16}|none) -->")
GENERATED = re.compile(r"(<!-- generated:[^>]*-->).*?(<!-- end -->)", re.DOTALL)


def translations() -> Iterator[tuple[Path, Path, str]]:
    """Each Chinese page with its English page and the digest that it names."""
    for page in [ROOT / "README.zh-CN.md", *sorted((ROOT / "docs/zh").glob("*.md"))]:
        found = STAMP.search(page.read_text(encoding="utf-8"))
        if found is None:
            raise SystemExit(f"{page.relative_to(ROOT)}: no line `<!-- translation of PATH, none -->`")
        yield page, ROOT / found[1], found[2]


def digest(page: Path) -> str:
    """Of what a translator reads in a page."""
    return hashlib.sha256(GENERATED.sub(r"\1\2", page.read_text(encoding="utf-8")).encode()).hexdigest()[:16]


def main() -> int:
    """Say which translations are behind, or stamp them."""
    stamp, behind = "--stamp" in sys.argv[1:], 0
    for page, english, known in translations():
        now = digest(english)
        if now == known:
            continue
        name = page.relative_to(ROOT)
        if stamp:
            text = page.read_text(encoding="utf-8")
            page.write_text(STAMP.sub(f"<!-- translation of {english.relative_to(ROOT)}, {now} -->", text, count=1), encoding="utf-8")
            print(f"{name}: stamped")
        else:
            behind = 1
            print(f"{name}: {english.relative_to(ROOT)} has changed: translate the change, then run scripts/translated.py --stamp")
    return behind


if __name__ == "__main__":
    sys.exit(main())
