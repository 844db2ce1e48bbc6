"""Runs the how-tos as a reader would, in a fresh clone, and writes what their commands print.

    python scripts/how_to.py [PAGE…]           writes outputs that have changed
    python scripts/how_to.py --check [PAGE…]   writes nothing; exit 1 where something has, or where a command ends with another code

A page is followed from top to bottom. A `yaml` or `sh` block that begins with `# file: NAME` is written to NAME; each `$ ` line of a
`console` block runs in bash, and must end with 0 or with the code that a comment states (`# exit code 1`). Between
`<!-- generated: run … -->` and `<!-- end -->` the output is kept. Blocks of other kinds need an engine or a GPU and are not run. A page
with `<!-- needs PATH -->` is followed where that part of the project is there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("docs/start.md", "docs/zh/start.md", "docs/how-to/*.md")
PIECE = re.compile(r"<!-- generated: run\b[^>]*-->\n.*?<!-- end -->|^```(?:yaml|sh|console)\n.*?^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"^<!-- needs (\S+) -->$", re.MULTILINE)
LEFT_OUT = ("tests/", "benchmarks/")
"""Folders of a clone that no how-to needs; without them a copy takes a tenth of the time."""


class Ran(NamedTuple):
    """A command of a page, as written, with its output and what is wrong with how it ended."""

    words: str
    output: str
    problem: str | None


def pages() -> list[Path]:
    """The pages that are followed."""
    found = (path for glob in PAGES for path in sorted(ROOT.glob(glob)))
    return [path for path in found if all((ROOT / need).exists() for need in NEEDS.findall(path.read_text(encoding="utf-8")))]


def clone(to: Path) -> None:
    """What `git clone` would bring: the files that git knows, as they are in this checkout."""
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)  # with edits
    for name in filter(None, listed.stdout.decode().split("\0")):
        if not name.startswith(LEFT_OUT) and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def programs_of(folder: Path) -> Path:
    """A folder for PATH whose `gen-deploy` is the clone's, as an installation there would give it."""
    programs = folder.parent / f"{folder.name}-bin"
    programs.mkdir()
    (programs / "gen-deploy").write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" -m generator "$@"\n', encoding="utf-8")
    (programs / "gen-deploy").chmod(0o755)
    return programs


def follow(page: Path, folder: Path, programs: Path) -> tuple[str, list[Ran]]:
    """Do what a page says in a clone, which is as before afterwards; the page with today's outputs, and what ran."""
    before, ran = {*folder.iterdir(), folder / "compiled"}, list[Ran]()

    def piece(match: re.Match[str]) -> str:
        text = match[0]
        if text.startswith("```console"):
            ran.extend(run(words, folder, programs) for words in commands(text))
        elif text.startswith("```"):
            write(text, folder)
        else:
            done = [run(words, folder, programs) for words in commands(text)]
            ran.extend(done)
            shown = "".join(f"$ {one.words}\n{one.output}" for one in done)
            return f"{text.partition('-->')[0]}-->\n\n```console\n{shown}```\n\n<!-- end -->"
        return text

    new = PIECE.sub(piece, page.read_text(encoding="utf-8"))
    for path in {*folder.iterdir()} - before:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return new, ran


def commands(block: str) -> list[str]:
    """The `$ ` lines of a block."""
    return re.findall(r"^\$ (.+)$", block, re.MULTILINE)


def write(block: str, folder: Path) -> None:
    """The file of a block that begins with `# file: NAME`."""
    first, _, rest = block.partition("\n")[2].partition("\n")
    if first.startswith("# file: "):
        path = folder / first.removeprefix("# file: ").strip()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rest.removesuffix("```"), encoding="utf-8")


def run(words: str, folder: Path, programs: Path) -> Ran:
    """One command, with what it prints on either output."""
    stated = re.search(r"# exit code (\d)", words)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GEN_DEPLOY", "GIT_", "PYTHON"))}
    people = {"GIT_AUTHOR_NAME": "You", "GIT_AUTHOR_EMAIL": "you@example.com", "GIT_COMMITTER_NAME": "You", "GIT_COMMITTER_EMAIL": "you@example.com"}
    environment = {**kept, **people, "PATH": f"{programs}:{os.environ['PATH']}", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-c", words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", check=False
    )
    wanted = int(stated[1]) if stated else 0
    problem = None if done.returncode == wanted else f"`{words}` ended with {done.returncode}, not {wanted}:\n{done.stdout}"
    output = "\n".join(line.rstrip() for line in done.stdout.splitlines())
    return Ran(words, output + "\n" if output else "", problem)


def main(words: list[str]) -> int:
    """Follow the pages; 1 where one is out of date (`--check`) or where a command failed."""
    check = "--check" in words
    asked = [Path(word).resolve() for word in words if word != "--check"] or pages()
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "gen-deploy"
        clone(folder)
        programs = programs_of(folder)
        followed = [(page, *follow(page, folder, programs)) for page in asked]
    for page, new, ran in followed:
        problems = [one.problem for one in ran if one.problem]
        if new != page.read_text(encoding="utf-8"):
            print(f"{page.relative_to(ROOT)}: {'out of date (run scripts/how_to.py)' if check else 'written'}")
            wrong += check
            if not check:
                page.write_text(new, encoding="utf-8")
        for problem in problems:
            print(f"{page.relative_to(ROOT)}: {problem}", file=sys.stderr)
        wrong += len(problems)
    return min(1, wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
