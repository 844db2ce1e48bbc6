"""Reading a repository: nothing from outside is an option of git's, nothing of the checkout is touched, errors say what is wrong."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from generator.disk.git import Range, Repo, export, parse_range, repository
from generator.errors import GenDeployError, InputError, UsageError

HOSTILE = [
    "--upload-pack=touch /tmp/owned", "-n", "--help", "main..--output=x", "--exec=x..main", "a b", "main\nother", "main\x00", "", "..", "...",
    "main..a..b", "main\\x", "x" * 300, "main\t..x", "--", "-..-",
]  # fmt: skip


def git(folder: Path, *words: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *who, *words], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Two commits of one file, with a space and an umlaut in its name."""
    folder = tmp_path / "r"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for text in ("one\n", "two\n"):
        (folder / "a ü.yaml").write_text(text, encoding="utf-8")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", text)
    return repository(folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("main", Range("main", None)),
        ("main..topic", Range("main", "topic")),
        ("main...topic", Range("main", "topic", True)),
        ("main..", Range("main", "HEAD")),
        ("..topic", Range("HEAD", "topic")),
        ("HEAD~3", Range("HEAD~3", None)),
        ("HEAD@{1}..v1.2.3", Range("HEAD@{1}", "v1.2.3")),
    ],
)
def test_ranges(text: str, found: Range) -> None:
    assert parse_range(text) == found


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_ranges_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_range(text)


@pytest.mark.parametrize("ref", ["nope", "main^{tree}", "main:a", "HEAD~50", "@{upstream}", "$(touch x)", "`x`", "main;x", "*", "refs/heads/*"])
def test_what_is_no_commit(repo: Repo, ref: str) -> None:
    before = sorted(p.name for p in repo.root.iterdir())
    with pytest.raises(GenDeployError):
        repo.commit(ref)
    assert sorted(p.name for p in repo.root.iterdir()) == before


def test_a_commit_is_read_without_its_checkout(repo: Repo, tmp_path: Path) -> None:
    (repo.root / "a ü.yaml").write_text("edited\n", encoding="utf-8")
    status = git(repo.root, "status", "--porcelain")
    index = (repo.root / ".git/index").read_bytes()
    tree = repo.tree(repo.commit("HEAD~1"))
    assert [entry.path for entry in tree] == ["a ü.yaml"]
    export(repo, tree, tmp_path / "x", {entry.path: entry for entry in tree})
    assert (tmp_path / "x" / "a ü.yaml").read_text() == "one\n"
    assert (repo.root / "a ü.yaml").read_text() == "edited\n"
    assert (repo.root / ".git/index").read_bytes() == index
    assert git(repo.root, "status", "--porcelain") == status


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not inside a git repository"):
        repository(tmp_path)


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="git is not installed"):
        repository(tmp_path)


def test_a_repository_without_commits(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(InputError, match="no commits yet"):
        repository(tmp_path).commit("main")


def test_a_bare_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare")
    with pytest.raises(InputError):
        repository(tmp_path)


def test_a_shallow_clone_says_so(repo: Repo, tmp_path: Path) -> None:
    old = repo.commit("HEAD~1")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repo.root}", "shallow")
    shallow = repository(tmp_path / "shallow")
    assert shallow.shallow
    for ref in (old, "HEAD~1"):
        with pytest.raises(InputError, match=r"shallow clone.*fetch-depth"):
            shallow.commit(ref)


def test_a_branch_of_the_remote_is_suggested(repo: Repo, tmp_path: Path) -> None:
    git(repo.root, "branch", "topic")
    git(tmp_path, "clone", "--quiet", str(repo.root), "clone")
    with pytest.raises(InputError, match="did you mean 'origin/topic'"):
        repository(tmp_path / "clone").commit("topic")


def test_histories_without_a_common_commit(repo: Repo) -> None:
    git(repo.root, "checkout", "--quiet", "--orphan", "other")
    git(repo.root, "commit", "--quiet", "--allow-empty", "-m", "other")
    with pytest.raises(InputError, match="no common commit"):
        repo.merge_base(repo.commit("main"), repo.commit("other"))


def test_a_partial_clone_says_so(repo: Repo, tmp_path: Path) -> None:
    git(repo.root, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", f"file://{repo.root}", "partial")
    partial = repository(tmp_path / "partial")
    tree = partial.tree(partial.commit("HEAD~1"))
    with pytest.raises(InputError, match="run `git fetch --refetch --no-filter`"):
        partial.contents(entry.sha for entry in tree)
    git(partial.root, "fetch", "--quiet", "--refetch", "--no-filter")
    assert list(partial.contents(entry.sha for entry in tree).values()) == [b"one\n"]


RUN_BY_GIT = """
[core]
	fsmonitor = CANARY
	hooksPath = HOOKS
	sshCommand = CANARY
	gitProxy = CANARY
	pager = CANARY
	editor = CANARY
	askPass = CANARY
	alternateRefsCommand = CANARY
	attributesFile = ATTRIBUTES
[credential]
	helper = !CANARY
[diff]
	external = CANARY
[diff "x"]
	textconv = CANARY
	command = CANARY
[filter "x"]
	clean = CANARY
	smudge = CANARY
	process = CANARY
	required = true
[merge "x"]
	driver = CANARY
[gpg]
	program = CANARY
[protocol]
	allow = always
[extensions]
	partialClone = evil
[remote "evil"]
	url = ext::CANARY
	uploadpack = CANARY
	promisor = true
[remote "origin"]
	url = FOLDER
	uploadpack = CANARY
	promisor = true
[alias]
	ls-tree = !CANARY
	cat-file = !CANARY
	rev-parse = !CANARY
"""


def hostile(folder: Path, canary: Path) -> None:
    """Have everything that git's configuration can name run `canary`."""
    program, hooks, attributes = folder / "run-by-git", folder / "hooks-of-the-stranger", folder / "attributes"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> "{canary}"\n')
    program.chmod(0o755)
    hooks.mkdir()
    for name in ("pre-auto-gc", "post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman", "post-merge"):
        (hooks / name).symlink_to(program)
    attributes.write_text("* filter=x diff=x merge=x\n")
    words = {"CANARY": program, "HOOKS": hooks, "ATTRIBUTES": attributes, "FOLDER": folder}
    text = RUN_BY_GIT
    for word, path in words.items():
        text = text.replace(word, str(path))
    config = folder / ".git/config" if (folder / ".git").is_dir() else folder / "config"
    config.write_text(config.read_text() + text)


def test_no_program_of_the_repository_is_run(repo: Repo, tmp_path: Path) -> None:
    """What its `.git/config`, attributes and hooks name; a clone has none of a stranger's, an archive can."""
    canary = tmp_path / "canary"
    hostile(repo.root, canary)
    found = repository(repo.root)
    tree = found.tree(found.commit("HEAD"))
    export(found, tree, tmp_path / "x", {entry.path: entry for entry in tree})
    assert found.merge_base(found.commit("HEAD"), found.commit("HEAD~1"))
    (repo.root / "new").mkdir()
    (repo.root / "new/file").touch()
    assert found.untracked(repo.root / "new") == ["new/file"]
    assert found.shallow is False
    for text in ("nope", "0" * 40):
        with pytest.raises(InputError):
            found.commit(text)
    with pytest.raises(InputError):
        found.contents(["1" * 40])
    assert not canary.exists(), canary.read_text()
    subprocess.run(["git", "status"], cwd=repo.root, capture_output=True, check=False)
    assert canary.exists(), "git status would have run it"


def test_a_repository_among_the_files_is_none(repo: Repo, tmp_path: Path) -> None:
    """A pull request can bring a folder in the form of a bare repository, with a configuration of its own."""
    inner = repo.root / "team"
    git(repo.root, "init", "--quiet", "--bare", "team")
    hostile(inner, tmp_path / "canary")
    (inner / "config").write_text((inner / "config").read_text().replace("bare = true", f"bare = false\n\tworktree = {repo.root}"))
    with pytest.raises(InputError, match=r"cannot use bare repository"):
        repository(inner)
    assert not (tmp_path / "canary").exists()


def test_links(repo: Repo, tmp_path: Path) -> None:
    (repo.root / "in.yaml").symlink_to("a ü.yaml")
    (repo.root / "out.yaml").symlink_to("../../etc/passwd")
    git(repo.root, "add", ".")
    git(repo.root, "commit", "--quiet", "-m", "links")
    known = {entry.path: entry for entry in repo.tree(repo.commit("HEAD"))}
    export(repo, [known["in.yaml"]], tmp_path / "x", known)
    assert (tmp_path / "x/in.yaml").read_text() == "two\n"
    assert not (tmp_path / "x/in.yaml").is_symlink()
    with pytest.raises(InputError, match=r"out\.yaml is a link to a target outside"):
        export(repo, [known["out.yaml"]], tmp_path / "x", known)


def test_submodules(repo: Repo, tmp_path: Path) -> None:
    git(repo.root, "submodule", "--quiet", "add", str(repo.root), "sub")
    git(repo.root, "commit", "--quiet", "-m", "sub")
    known = {entry.path: entry for entry in repo.tree(repo.commit("HEAD"))}
    with pytest.raises(InputError, match="sub is a submodule"):
        export(repo, [known["sub"]], tmp_path / "x", known)


def test_untracked(repo: Repo) -> None:
    (repo.root / "deploy").mkdir()
    for name in ("new", "ignored", "known"):
        (repo.root / "deploy" / name).write_text(name)
    (repo.root / ".gitignore").write_text("ignored\n")
    git(repo.root, "add", "deploy/known", ".gitignore")
    assert repo.untracked(repo.root / "deploy") == ["deploy/new"]
    assert repo.untracked(Path("/")) == []


def test_a_path_outside(repo: Repo, tmp_path: Path) -> None:
    assert repo.path_of(repo.root / "x/../a") == "a"
    with pytest.raises(InputError, match="not inside the repository"):
        repo.path_of(tmp_path / "elsewhere")
