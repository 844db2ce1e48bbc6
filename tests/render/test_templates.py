"""Loading of templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from render_plans import book, candidate, engines, plan

from generator.render import templates
from generator.render.files import artifacts


def test_compiled_templates_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [candidate(engine) for engine in engines()]
    meant = artifacts(plan(found[0]), found, book())
    templates.compile_to(tmp_path / "templates")
    monkeypatch.setattr(templates, "folder", lambda name: tmp_path if name == "compiled" else tmp_path / "nothing")
    templates._environment.cache_clear()
    try:
        assert artifacts(plan(found[0]), found, book()) == meant
    finally:
        templates._environment.cache_clear()


def test_what_a_template_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        templates.render("Modelfile.j2", header="x")


def test_data_is_no_template() -> None:
    text = templates.render("data.yaml.j2", header="{{ 7*7 }}", seal="", notes=["{% x %}"], body="{## y ##}\n")
    assert text == "# {{ 7*7 }}\n# {% x %}\n{## y ##}\n"
