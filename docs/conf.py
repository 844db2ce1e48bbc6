"""The site: Sphinx with MyST, which read these Markdown files as they are. `.ci/docs` builds it, with every warning an error.

The pages stay plain Markdown that a forge shows: the menu is made from docs/index.md, and links to files outside docs/ lead to the repository.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HOME = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]

project = "gen-deploy"
author = copyright = "the gen-deploy authors"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "gen-deploy"
html_show_sphinx = html_show_copyright = False
html_copy_source = False
myst_heading_anchors = 4
myst_links_external_new_tab = False
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure"]  # console blocks show what commands print, which is no shell


def prepared(app: Any, name: str, source: list[str]) -> None:
    """A page as Sphinx takes it: links out of docs/ lead to the repository, and the index has its menu."""
    folder = (ROOT / "docs" / name).parent

    def link(match: re.Match[str]) -> str:
        target, _, anchor = match[1].partition("#")
        path = (folder / target).resolve()
        if path.is_relative_to(ROOT / "docs") and path.suffix == ".md":
            return match[0]
        kind = "tree" if path.is_dir() else "blob"
        return f"]({HOME}/{kind}/main/{path.relative_to(ROOT)}{'#' + anchor if anchor else ''})"

    text = re.sub(r"\]\((?![a-z]+:|#|<)([^)\s]+)\)", link, source[0])
    if name == "index":
        menus = re.findall(r"^## (.+)\n\n((?:- .+\n)+)", text, re.MULTILINE)
        text += "".join(f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{entries(items)}\n```\n" for title, items in menus)
    source[0] = text


def entries(items: str) -> str:
    """The lines of a menu, from a list of links."""
    return "\n".join(f"{title} <{target.removesuffix('.md')}>" for title, target in re.findall(r"\[(.+?)\]\((\S+?)\)", items))


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", prepared)
