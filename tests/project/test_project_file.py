"""The project file: what is wrong in it is told at its place; its globs find the specs and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.errors import InputError
from generator.spec.project import find, matches, parse, rule_set

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_wrong_files(case: dict[str, Any]) -> None:
    with pytest.raises(InputError) as error:
        parse(case["text"], "gen-deploy.yaml", Path())
    first = error.value.problems[0]
    assert first.place is not None
    assert f"{first.place.line}:{first.place.column}" == case["at"]
    assert first.code == case["code"]
    assert case["says"] in first.message


GLOBS = [
    ("*.yaml", {"a.yaml": True, "x/a.yaml": False, ".a.yaml": False, "a.yml": False}),
    ("**/*.yaml", {"a.yaml": True, "x/a.yaml": True, "x/y/a.yaml": True, ".git/a.yaml": False, "x/.a.yaml": False}),
    ("specs/**", {"specs/a.yaml": True, "specs/x/a.yaml": True, "a.yaml": False, "specs": False}),
    ("s?/[ab].yaml", {"s1/a.yaml": True, "s1/c.yaml": False, "s/a.yaml": False}),
    ("s/[!a].yaml", {"s/b.yaml": True, "s/a.yaml": False}),
    ("[z-a].yaml", {"a.yaml": False}),
    ("**", {"a": True, "x/a": True, ".x/a": False}),
    ("x/**/y/**/z", {"x/y/z": True, "x/1/y/2/3/z": True, "x/z": False}),
    ("a+b (1).yaml", {"a+b (1).yaml": True, "aab (1).yaml": False}),
    (".hidden/*.yaml", {".hidden/a.yaml": True}),
]


@pytest.mark.parametrize(("glob", "paths"), GLOBS)
def test_globs(glob: str, paths: dict[str, bool]) -> None:
    assert {path: matches(glob, path) for path in paths} == paths


def test_a_glob_cannot_take_for_ever() -> None:
    assert not matches("/".join(["**"] * 20) + "/x.yaml", "a/" * 40 + "y")
    assert not matches("*a*a*a*a*a*a*a*b", "a" * 200)


def put(folder: Path, text: str, *files: str) -> None:
    (folder / "gen-deploy.yaml").write_text(text)
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def test_the_corpus_leaves_out_what_is_generated(tmp_path: Path) -> None:
    put(
        tmp_path, "specs: ['**/*.yaml']\nout: deploy\nrules: ./ours\n",
        "a.yaml", "x/b.yaml", "deploy/a/vllm/config.yaml", "ours/reject.yaml", ".github/workflows/ci.yaml", "x/gen-deploy.yaml",
    )  # fmt: skip
    project = find(tmp_path)
    assert project is not None
    assert [path.resolve().relative_to(tmp_path.resolve()).as_posix() for path in project.spec_files()] == ["a.yaml", "x/b.yaml"]


def test_a_named_spec_must_be_there(tmp_path: Path) -> None:
    put(tmp_path, "specs: ['*.yaml', missing.yaml]\nout: deploy\n", "a.yaml")
    project = find(tmp_path)
    assert project is not None
    with pytest.raises(InputError, match=r"gen-deploy.yaml:1:19: error\[no-specs\]: 'missing.yaml' does not exist"):
        project.spec_files()


def test_nothing_matches(tmp_path: Path) -> None:
    put(tmp_path, "specs: specs/*.yaml\nout: deploy\n")
    project = find(tmp_path)
    assert project is not None
    with pytest.raises(InputError, match=r"no file matches specs/\*.yaml"):
        project.spec_files()


def test_it_is_found_from_below_and_not_beyond_the_repository(tmp_path: Path) -> None:
    put(tmp_path, "specs: a.yaml\nout: deploy\n", "x/y/a.yaml", "repo/.git/config", "repo/z/a.yaml")
    found = find(tmp_path / "x/y")
    assert found is not None
    assert (tmp_path / "x/y" / found.folder).resolve() == tmp_path.resolve() or found.folder.resolve() == tmp_path.resolve()
    assert find(tmp_path / "repo/z") is None


def test_links_are_not_followed_round_and_round(tmp_path: Path) -> None:
    put(tmp_path, "specs: '**/*.yaml'\nout: deploy\n", "a/b.yaml")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    project = find(tmp_path)
    assert project is not None
    assert len(project.spec_files()) == 1


@pytest.mark.parametrize(
    ("text", "named", "tree", "main", "about_rules"),
    [
        (None, None, False, "default", "default"),
        (None, None, True, "default", "rules/default"),
        (None, "handbook", True, "handbook", "handbook"),
        ("rules: ours", None, True, "ours", "ours"),
        ("rules: handbook", None, False, "handbook", "handbook"),
        ("rules: ours", "default", False, "default", "default"),
        ("", None, True, "default", "rules/default"),
    ],
)
def test_which_rule_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, named: str | None, tree: bool, main: str, about_rules: str
) -> None:
    """The main job never picks up `./rules`; lint, test and diff do where nothing is named."""
    monkeypatch.chdir(tmp_path)
    if text is not None:
        put(tmp_path, f"specs: a.yaml\nout: deploy\n{text}\n")
    if tree:
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules/vocabulary.yaml").write_text("names: {}\n")
    assert rule_set(named, Path()) == main
    assert rule_set(named, Path(), tree=True) == about_rules


def test_this_repository_has_one() -> None:
    """Its corpus are the examples, and its output what is committed beside them."""
    root = Path(__file__).resolve().parents[2]
    project = find(root)
    assert project is not None
    assert sorted(path.resolve() for path in project.spec_files()) == sorted((root / "examples").glob("*.yaml"))
    assert (project.folder.resolve() / project.out, project.rules) == (root / "examples/out", None)
