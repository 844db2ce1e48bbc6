"""The templates: framing of files, wording. Data never becomes a template.

Floor 6. Jinja2 is imported at the first file that is rendered, not before. Compiled templates are code: only those
installed with the package are loaded; they are never cached."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from generator.readers.resources import folder
from generator.render.markdown import cell, code, did, inputs, md, number, quiet, said, short
from generator.render.words import comment

if TYPE_CHECKING:
    from jinja2 import Environment


@lru_cache(1)
def _environment() -> Environment:
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, ModuleLoader, StrictUndefined

    class KeysFirst(Environment):
        """`data.key` looks up a mapping's key first, before an attribute."""

        def getattr(self, obj: object, attribute: str) -> object:
            if type(obj) is dict and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

    built = folder("compiled") / "templates"
    source = FileSystemLoader(folder("templates"))
    environment = KeysFirst(
        # a wheel contains compiled templates; with another Jinja version the text is used
        loader=ChoiceLoader([ModuleLoader(built), source]) if built.is_dir() else source,
        undefined=StrictUndefined,
        autoescape=False,  # each language has its own filter; none is HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        comment_start_string="{##",  # bash says ${#array[@]}
        comment_end_string="##}",
    )
    environment.filters |= {filter.__name__: filter for filter in (comment, md, code, cell, quiet, number, short, said, did, inputs)}
    environment.filters["figure"] = "{:,g}".format
    return environment


def compile_to(target: Path) -> None:
    """Compile all templates into a folder of Python modules, `compiled/templates` of a wheel (saves 25 ms a start)."""
    _environment().compile_templates(target, zip=None, ignore_errors=False, extensions=["j2"])


def render(template: str, /, **values: object) -> str:
    """The text of a template with plain values (str, int, float, list, dict) filled in."""
    return _environment().get_template(template).render(values)


def phrase(template: str, macro: str, /, *values: object) -> str:
    """What a macro of a template says of plain values."""
    return str(getattr(_environment().get_template(template).module, macro)(*values))
