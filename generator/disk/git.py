"""Read-only access to a git repository: commits, trees and files as objects. Checkout, index and refs are never touched.

Floor 8: runs git. External input is passed as arguments after `--end-of-options` or on stdin, never as an option."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from generator.errors import InputError, Problem, UsageError, fail, printable
from generator.record import dataclass

TIMEOUT_S = 120
MAX_REF = 250
MAX_EXPORT_BYTES = 256 << 20
"""Size limit for one side of a comparison: rules and specs are small; model files do not belong in git."""
LINK, SUBMODULE = "120000", "160000"
HARMLESS = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "safe.bareRepository=explicit")
"""Settings that stop an untrusted repository from making git run commands; the last one guards against a nested repository."""
GIT = ("git", "--no-replace-objects", *(word for setting in HARMLESS for word in ("-c", setting)))
ENVIRONMENT = {
    "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat",
    "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "",  # no fetching: it would run configured commands
}  # fmt: skip


class Entry(NamedTuple):
    """A file of a tree: its mode, object and path relative to the root of the repository."""

    mode: str
    sha: str
    path: str


class Range(NamedTuple):
    """The compared revisions: `base` and `head` (None: the working tree); `merge_base` for three dots."""

    base: str
    head: str | None
    merge_base: bool = False


def parse_range(text: str) -> Range:
    """`BASE`, `BASE..HEAD`, `BASE...HEAD` (since their merge base); raises `UsageError` for an invalid commit name."""
    dots = "..." if "..." in text else ".."
    base, sep, head = text.partition(dots)
    found = Range(checked_ref(base or "HEAD", text), checked_ref(head or "HEAD", text) if sep else None, dots == "..." and bool(sep))
    if not base and not head:
        raise _usage(text, "names no commit")
    return found


def checked_ref(ref: str, text: str | None = None) -> str:
    """A syntactically valid commit name; raises `UsageError` for options, spaces and control characters."""
    text = ref if text is None else text
    if ref.startswith("-"):
        raise _usage(text, "a commit's name cannot begin with '-'")
    if not ref or len(ref) > MAX_REF or not ref.isprintable() or any(c in ref for c in " \t\\") or ".." in ref:
        raise _usage(text, "is not the name of a commit")
    return ref


def _usage(text: str, why: str) -> UsageError:
    return UsageError(Problem("bad-ref", f"{text[:MAX_REF]!r}: {why}"))


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository; `root` is its working tree."""

    root: Path

    def commit(self, ref: str) -> str:
        """The commit of a name; raises `InputError` if the repository has none."""
        if sha := self._asked("rev-parse", "--verify", "--quiet", "--end-of-options", f"{checked_ref(ref)}^{{commit}}"):
            return sha
        raise fail("unknown-commit", f"{ref!r} is not a commit of this repository{self._why_missing(ref)}")

    def _asked(self, *words: str) -> str:
        """The line that git answers, empty where it cannot."""
        done = run(words, self.root, may_fail=True)
        return "" if done.returncode else done.stdout.decode("ascii", "replace").strip()

    def _why_missing(self, ref: str) -> str:
        if not self._asked("rev-parse", "--verify", "--quiet", "HEAD"):
            return ": it has no commits yet"
        if self.shallow:
            return f": a shallow clone lacks older commits (use `git fetch --unshallow`, or fetch-depth: 0 with actions/checkout, then retry {ref!r})"
        if self._asked("rev-parse", "--verify", "--quiet", "--end-of-options", f"origin/{ref}^{{commit}}"):
            return f"; did you mean 'origin/{ref}'?"
        return " (a branch of the remote may have to be fetched first)"

    @property
    def shallow(self) -> bool:
        """Whether the clone lacks history."""
        return self._asked("rev-parse", "--is-shallow-repository") == "true"

    def merge_base(self, one: str, other: str) -> str:
        """The merge base of two commits; raises `InputError` if there is none (or none in a shallow clone)."""
        if sha := self._asked("merge-base", one, other):
            return sha
        why = ": this is a shallow clone (`git fetch --unshallow`)" if self.shallow else ""
        raise fail("no-merge-base", f"{one[:12]} and {other[:12]} have no common commit{why}")

    def tree(self, commit: str) -> list[Entry]:
        """Every file of a commit, submodules as one entry each."""
        raw = run(["ls-tree", "-r", "-z", "--full-tree", commit], self.root).stdout
        entries = []
        for line in raw.split(b"\0"):
            if line:
                words, _, path = line.partition(b"\t")
                mode, _, sha = words.decode("ascii").split(" ")
                entries.append(Entry(mode, sha, os.fsdecode(path)))
        return entries

    def contents(self, shas: Iterable[str]) -> dict[str, bytes]:
        """The bytes of objects; raises `InputError` for missing objects (a partial clone without network)."""
        wanted = list(dict.fromkeys(shas))
        if not wanted:
            return {}
        raw = run(["cat-file", "--batch"], self.root, stdin="".join(f"{sha}\n" for sha in wanted).encode("ascii")).stdout
        found: dict[str, bytes] = {}
        at = 0
        for sha in wanted:
            end = raw.index(b"\n", at)
            words = raw[at:end].split(b" ")
            if len(words) != 3:
                raise fail("missing-object", f"the object {sha[:12]} is not in this repository (a partial clone?)")
            size = int(words[2])
            found[sha] = raw[end + 1 : end + 1 + size]
            at = end + 1 + size + 1
        return found

    def size(self, shas: Iterable[str]) -> int:
        """Total bytes of objects, without reading them."""
        text = "".join(f"{sha}\n" for sha in dict.fromkeys(shas)).encode("ascii")
        lines = run(["cat-file", "--batch-check=%(objectsize)"], self.root, stdin=text).stdout.split(b"\n")
        return sum(int(line) for line in lines if line.isdigit())

    def untracked(self, folder: Path) -> list[str]:
        """Files below a folder that are neither tracked nor ignored, as paths relative to the root of the repository."""
        try:
            inside = folder.resolve().relative_to(self.root)
        except ValueError:
            return []
        raw = run(["ls-files", "-z", "--others", "--exclude-standard", "--", f":(top,literal){inside.as_posix()}"], self.root).stdout
        return [os.fsdecode(path) for path in raw.split(b"\0") if path]

    def path_of(self, path: Path) -> str:
        """A path of the working tree relative to the root of the repository; raises `InputError` outside it."""
        full = Path(os.path.abspath(path))  # noqa: PTH100 - the position of a link counts, not its target
        for candidate in (full, full.parent.resolve() / full.name):
            try:
                return candidate.relative_to(self.root).as_posix()
            except ValueError:
                continue
        raise fail("outside-repository", f"{path} is not inside the repository {self.root}")


def repository(cwd: Path) -> Repo:
    """The repository around a folder; raises `InputError` if there is none, or git is not installed."""
    done = run(["rev-parse", "--show-toplevel"], cwd, may_fail=True)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace")
        if "not a git repository" in said:
            raise fail("no-repository", "this folder is not inside a git repository; DIR..DIR compares two rule sets without it")
        raise fail("git", _last_line(said) or "git cannot read the repository")
    root = os.fsdecode(done.stdout.rstrip(b"\n"))
    if not root:
        raise fail("no-repository", "this is a bare repository without a working tree")
    return Repo(Path(root).resolve())


def export(repo: Repo, entries: Sequence[Entry], target: Path, known: Mapping[str, Entry]) -> None:
    """Write files of a tree below `target` (`known`: the whole tree); raises `InputError` for outside links, submodules and too large files.

    A link is written as its target file within the same tree, as a read in the working tree would see it."""
    problems = []
    plain: list[tuple[str, str]] = []
    links = repo.contents(entry.sha for entry in entries if entry.mode == LINK)
    for entry in entries:
        source: Entry | None = entry
        if entry.mode == LINK:
            led = os.path.normpath(f"{PurePosixPath(entry.path).parent}/{os.fsdecode(links[entry.sha])}")
            source = known.get(led)
        if source is None or source.mode in (LINK, SUBMODULE):
            what = "is a submodule, which is not read" if entry.mode == SUBMODULE else "is a link to a target outside the compared files"
            problems.append(Problem("not-a-file", f"{printable(entry.path)} {what}"))
        elif _unsafe(entry.path):
            problems.append(Problem("bad-path", f"{printable(entry.path)!r} is not a writable path"))
        else:
            plain.append((entry.path, source.sha))
    if problems:
        raise InputError(problems)
    if repo.size(sha for _, sha in plain) > MAX_EXPORT_BYTES:
        raise fail("too-large", f"the files to compare take more than {MAX_EXPORT_BYTES >> 20} MiB")
    found = repo.contents(sha for _, sha in plain)
    for path, sha in plain:
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(found[sha])


def _unsafe(path: str) -> bool:
    parts = path.split("/")
    return path.startswith("/") or any(part in ("", ".", "..") for part in parts) or parts[0].lower() == ".git"


def run(words: Sequence[str], cwd: Path, stdin: bytes | None = None, may_fail: bool = False) -> subprocess.CompletedProcess[bytes]:
    """Run git; raises `InputError` with its last line if it fails (unless `may_fail`) or is not installed."""
    try:
        done = subprocess.run(
            [*GIT, *words], cwd=cwd, input=stdin or b"", capture_output=True, env={**os.environ, **ENVIRONMENT}, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise fail("git", "git is not installed" if cwd.is_dir() else f"{cwd} is not a folder") from None
    except subprocess.TimeoutExpired:
        raise fail("git", f"git {words[0]} took more than {TIMEOUT_S} s") from None
    except OSError as error:
        raise fail("git", f"cannot run git: {error.strerror}") from None
    if done.returncode and b"promisor remote" in done.stderr:
        message = "this partial clone lacks compared files, and gen-deploy fetches nothing: run `git fetch --refetch --no-filter`"
        raise fail("missing-object", message)
    if done.returncode and not may_fail:
        raise fail("git", f"git {words[0]}: {_last_line(done.stderr.decode('utf-8', 'replace'))}")
    return done


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
    return printable((fatal or lines or [""])[0])
