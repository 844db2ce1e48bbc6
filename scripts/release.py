"""What must be true of a release, and its notes.

    python scripts/release.py v0.4.0 [--repository OWNER/NAME]

Prints the section of CHANGELOG.md; exit 1 where the tag is not the version, the version has no dated section, or an address in
pyproject.toml is not that of the repository."""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(words: list[str] | None = None, root: Path = ROOT) -> int:
    """Check and print; the exit code."""
    parser = argparse.ArgumentParser(description="Check a release and print its notes.")
    parser.add_argument("tag", help="v and the version")
    parser.add_argument("--repository", help="OWNER/NAME of the repository that releases")
    asked = parser.parse_args(words)
    found = list(problems(root, asked.tag, asked.repository))
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    if not found:
        print(notes(root, asked.tag.removeprefix("v"))[1])
    return 1 if found else 0


def problems(root: Path, tag: str, repository: str | None) -> Iterator[str]:
    """What keeps this tag from being released."""
    code = re.search(r'__version__ = "(.+)"', (root / "generator/__init__.py").read_text(encoding="utf-8"))
    if code is None or tag != f"v{code[1]}":
        yield f"the tag is {tag}, but generator/__init__.py says {code[1] if code else 'nothing'}: tag v{code[1] if code else 'VERSION'}"
    day, text = notes(root, tag.removeprefix("v"))
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
        yield f"CHANGELOG.md has no section `## [{tag.removeprefix('v')}] - YYYY-MM-DD`" + (f": it says {day!r}" if day else "")
    elif not text:
        yield f"the section of {tag} in CHANGELOG.md is empty"
    for name, url in tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"].items():
        if repository and not f"{url}/".startswith(f"https://github.com/{repository}/"):
            yield f"pyproject.toml: {name} is {url}, not an address of {repository}"


def notes(root: Path, version: str) -> tuple[str, str]:
    """The day and the text of a version's section in CHANGELOG.md; both empty where there is none."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## \[{re.escape(version)}\] - (.+?)\n(.*?)(?=^## \[|\Z)", text, re.MULTILINE | re.DOTALL)
    return (found[1].strip(), found[2].strip()) if found else ("", "")


if __name__ == "__main__":
    sys.exit(main())
