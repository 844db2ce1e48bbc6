"""The build's own steps: `rules/` and `templates/` go into the package, compiled ones beside them, and equal sources give equal bytes.

With SOURCE_DATE_EPOCH (seconds since 1970) two builds of one commit are the same files, wheel and sdist, whatever the checkout's times and modes."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

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
        for file in (package / "rules").rglob("*.json"):
            file.write_text(json.dumps(json.loads(file.read_bytes()), ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
        sys.path.insert(0, str(ROOT))
        from generator.render.templates import compile_to as compile_templates
        from generator.rulebook.book import compile_to
        from generator.rulebook.rulesets import SHIPPED

        for name in SHIPPED:
            compile_to(package / "compiled" / name, name)
        compile_templates(package / "compiled" / "templates")
        for file in package.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)  # whatever the umask of the checkout


class Wheel(bdist_wheel):
    """The wheel, packed as tightly as its format allows: half a percent less to download."""

    def run(self) -> None:
        """Build it, then write it again, member by member."""
        super().run()
        for _, _, made in self.distribution.dist_files[-1:]:
            with zipfile.ZipFile(made) as old:
                members = [(member, old.read(member)) for member in old.infolist()]
            with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
                for member, data in members:
                    new.writestr(member, data, compresslevel=9)


class Sdist(sdist):
    """The archive with its members sorted, of one time and no owner."""

    def make_archive(self, *args: Any, **options: Any) -> str:
        """The archive's path; written again where SOURCE_DATE_EPOCH is set."""
        made = Path(super().make_archive(*args, **options))
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch and made.name.endswith(".tar.gz"):
            made.write_bytes(repacked(made, int(epoch)))
        return str(made)


def repacked(archive: Path, time: int) -> bytes:
    """A `.tar.gz` again, the same wherever and whenever it is made."""
    packed = io.BytesIO()
    with (
        tarfile.open(archive) as old,
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=time) as raw,
        tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            run = member.isdir() or member.mode & 0o100
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.size, plain.mtime, plain.mode = member.type, member.size, time, 0o755 if run else 0o644
            new.addfile(plain, old.extractfile(member))
    return packed.getvalue()


def described() -> str:
    """README.md for a page elsewhere: its links lead to the files of this version."""
    version = re.search(r'__version__ = "(.+)"', (ROOT / "generator/__init__.py").read_text(encoding="utf-8"))
    home = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
    assert version is not None
    return re.sub(r"\]\((?![a-z]+:|#)", f"]({home}/blob/v{version[1]}/", (ROOT / "README.md").read_text(encoding="utf-8"))


os.umask(0o022)  # modes are bytes of a wheel
setup(
    cmdclass={"build_py": BuildPy, "bdist_wheel": Wheel, "sdist": Sdist},
    long_description=described(),
    long_description_content_type="text/markdown",
)
