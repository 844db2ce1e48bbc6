"""The build's one step of its own: `rules/` and `templates/` go into the package, compiled ones beside them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildPy(build_py):
    """The modules, then what they read; an editable install reads the checkout's own folders instead."""

    def run(self) -> None:
        """Build into `build_lib`, from which the wheel is made."""
        if self.editable_mode:
            super().run()
            return
        package = Path(self.build_lib) / "generator"
        shutil.rmtree(package, ignore_errors=True)  # what an earlier build left is not ours
        super().run()
        for name in ("rules", "templates"):
            shutil.copytree(ROOT / name, package / name)
        sys.path.insert(0, str(ROOT))
        from generator.render.templates import compile_to as compile_templates
        from generator.rulebook.book import compile_to
        from generator.rulebook.rulesets import SHIPPED

        for name in SHIPPED:
            compile_to(package / "compiled" / name, name)
        compile_templates(package / "compiled" / "templates")


setup(cmdclass={"build_py": BuildPy})
