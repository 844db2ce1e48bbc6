"""The templates: framing of files, wording. Data never becomes a template.

Floor 6. Jinja2 is imported at the first file that is rendered, not before. Compiled templates are code: they lie beside the
package's own, installed with it or, in a checkout, kept by Jinja as Python keeps `__pycache__`."""

from __future__ import annotations

import contextlib
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from generator.readers.resources import folder
from generator.render import yaml_text
from generator.render.escape import pod, unit
from generator.render.markdown import cell, code, did, inputs, md, number, quiet, said, short
from generator.render.words import bash, comment

if TYPE_CHECKING:
    from jinja2 import Environment


RARE = ("report/", "calibrate/", "quantize/")
"""Templates that a wheel brings as text alone: compiled they are large, and few runs need them."""


@lru_cache(1)
def _environment() -> Environment:
    import jinja2
    from jinja2 import ChoiceLoader, Environment, FileSystemBytecodeCache, FileSystemLoader, ModuleLoader, StrictUndefined

    class KeysFirst(Environment):
        """`data.key` looks up a mapping's key first, before an attribute."""

        def getattr(self, obj: object, attribute: str) -> object:
            if type(obj) is dict and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

    built = folder("compiled") / "templates"
    source = FileSystemLoader(folder("templates"))
    kept = folder("compiled") / "bytecode"
    made_by = "-".join(f"{Path(file).stat().st_mtime_ns:x}" for file in (__file__, jinja2.__file__))  # the settings below, and Jinja's compiler
    if not built.is_dir() and not sys.dont_write_bytecode:
        with contextlib.suppress(OSError):  # a checkout of another user
            kept.mkdir(parents=True, exist_ok=True)
    environment = KeysFirst(
        # a wheel contains compiled templates; with another Jinja version the text is used
        loader=ChoiceLoader([ModuleLoader(built), source]) if built.is_dir() else source,
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.startswith("report/"),  # HTML; each other language has its own filter
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        bytecode_cache=FileSystemBytecodeCache(str(kept), f"{made_by}-%s") if os.access(kept, os.W_OK) else None,
        comment_start_string="{##",  # bash says ${#array[@]}
        comment_end_string="##}",
    )
    environment.filters |= {filter.__name__: filter for filter in (comment, md, code, cell, quiet, number, short, said, did, inputs)}
    environment.filters["figure"] = "{:,g}".format
    environment.filters |= {"yaml": yaml_text.inner, "bash": bash, "q": yaml_text.scalar, "pod": pod, "unit": unit}
    return environment


def compile_to(target: Path) -> None:
    """Compile the templates into a folder of Python modules, `compiled/templates` of a wheel (saves 25 ms a start), but those of `RARE`."""
    wanted = lambda name: name.endswith(".j2") and not name.startswith(RARE)  # noqa: E731
    _environment().compile_templates(target, zip=None, ignore_errors=False, filter_func=wanted)


def render(template: str, /, **values: object) -> str:
    """The text of a template with plain values (str, int, float, list, dict) filled in."""
    return _environment().get_template(template).render(values)


def phrase(template: str, macro: str, /, *values: object) -> str:
    """What a macro of a template says of plain values."""
    return str(getattr(_environment().get_template(template).module, macro)(*values))
