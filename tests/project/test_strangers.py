"""A project that a stranger wrote: what it names is neither read nor written outside it, wherever symlinks lead."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from generator.cli.main import main
from generator.readers.resources import ALLOW, lies_in

SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\n"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2,
    "num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 8192, "torch_dtype": "bfloat16",
}  # fmt: skip
SECRET = "s3cret-t0ken"


def run(*words: str) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(list(words))
    return code, said.getvalue()


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a project and one spec; beside it a folder of the reader's own, with a secret and a model."""
    here = tmp_path / "checkout"
    (here / "specs").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(here)], check=True)
    (here / "specs/a.yaml").write_text(SPEC)
    (here / "gen-deploy.yaml").write_text("specs: [specs/*.yaml]\nout: deploy\n")
    own = tmp_path / "own"
    own.mkdir()
    (own / "config.json").write_text(json.dumps(CONFIG))
    (own / "secrets.yaml").write_text(f"{SECRET}: {{password: {SECRET}}}\n")
    (own / "spec.yaml").write_text(SPEC)
    header = json.dumps({"x": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (own / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"1234")
    monkeypatch.chdir(here)
    monkeypatch.delenv(ALLOW, raising=False)
    return here


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


OUTS = {
    "a link": ("deploy", {"deploy": "../own"}),
    "a link on the way": ("a/b", {"a": "../own"}),
    "a link to a link": ("x", {"x": "y", "y": "../own"}),
    "a link to a folder that is not there": ("x", {"x": "../own/new"}),
    "an absolute link": ("x", {"x": "/"}),
    "a link to itself": ("x", {"x": "x/../../own"}),
    "a link to the project": ("x", {"x": "."}),
    "git's own": (".git", {}),
    "git's hooks": (".git/hooks", {}),
    "git's in capitals": (".GIT", {}),
    "git's as Windows reads it": (".git./x", {}),
    "git's short name": ("GIT~1/x", {}),
    "git's as a stream": (".git:x", {}),
    "a link to git's own": ("x", {"x": ".git"}),
    "a submodule's": ("sub/.git/modules/y", {}),
    "a bare repository": ("bare/x", {}),
    "a link to a bare repository": ("x/y", {"x": "bare"}),
}


@pytest.mark.parametrize("case", OUTS)
def test_out_stays_inside(project: Path, case: str) -> None:
    out, links = OUTS[case]
    (project / "bare/objects").mkdir(parents=True)
    (project / "bare/HEAD").write_text("ref: refs/heads/main\n")
    for name, target in links.items():
        (project / name).symlink_to(target)
    (project / "gen-deploy.yaml").write_text(f"specs: [specs/*.yaml]\nout: '{out}'\n")
    before = tree(project.parent)
    for words in (["-q"], ["check"], ["--force", "--prune"], ["specs/a.yaml"], ["check", "specs/a.yaml"], ["diff", "HEAD"]):
        code, said = run(*words)
        assert code == 1, words
        if words[0] != "diff":
            assert "gen-deploy.yaml:2:6: error[outside-project]: out: " in said
            assert "`-o DIR`" in said
    assert tree(project.parent) == before
    assert run("-q", "-o", "elsewhere")[0] == 0, "an explicit -o is the caller's own word"


def test_out_may_be_a_link_inside(project: Path) -> None:
    (project / "real").mkdir()
    (project / "deploy").symlink_to("real")
    assert run("-q")[0] == 0
    assert (project / "real/a/plan.json").is_file()
    assert run("check", "-q")[0] == 0


def test_a_git_file_is_git_s_own(project: Path) -> None:
    """A worktree and a submodule have a file of that name, which says where the repository is."""
    shutil.rmtree(project / ".git")
    (project / ".git").write_text("gitdir: ../own\n")
    (project / "gen-deploy.yaml").write_text("specs: [specs/*.yaml]\nout: .git/x\n")
    code, said = run("-q")
    assert (code, "outside-project" in said) == (1, True)


SPECS = {
    "a file": ("specs/*.yaml", {"specs/b.yaml": "../../own/spec.yaml"}),
    "a secret": ("specs/*.yaml", {"specs/b.yaml": "../../own/secrets.yaml"}),
    "a folder": ("more/*.yaml", {"more": "../own"}),
    "a folder on the way": ("x/more/**", {"x": "../own"}),
    "git's own": (".git/*", {}),
    "a link to git's own": ("specs/*", {"specs/b": "../.git/config"}),
}


@pytest.mark.parametrize("case", SPECS)
def test_specs_stay_inside(project: Path, case: str) -> None:
    glob, links = SPECS[case]
    for name, target in links.items():
        (project / name).symlink_to(target)
    (project / ".git/config").write_text(f"[http]\n\textraheader = {SECRET}\n")
    (project / "gen-deploy.yaml").write_text(f"specs: ['{glob}']\nout: deploy\n")
    subprocess.run(["git", "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    for words in ([], ["check"], ["diff", "HEAD"], ["diff", "handbook..default"], ["lint", "--rules", "default"]):
        code, said = run(*words)
        assert code == 1, (words, said)
        assert "gen-deploy.yaml:1:8: error[outside-project]: specs: " in said
        assert SECRET not in said
    assert not (project / "deploy").exists()


def test_a_link_inside_is_a_spec(project: Path) -> None:
    (project / "specs/b.yaml").symlink_to("../kept.yaml")
    (project / "kept.yaml").write_text(SPEC + "name: b\n")
    assert run("-q")[0] == 0
    assert (project / "deploy/b/plan.json").is_file()


def test_the_project_file_is_no_link_to_elsewhere(project: Path) -> None:
    (project / "gen-deploy.yaml").unlink()
    (project / "gen-deploy.yaml").symlink_to("../own/secrets.yaml")
    for words in ([], ["check"], ["lint"], ["test"], ["specs/a.yaml", "-o", "x"]):
        code, said = run(*words)
        assert (code, "error[outside-project]" in said, SECRET in said) == (1, True, False)
    (project / "gen-deploy.yaml").unlink()
    (project / "gen-deploy.yaml").symlink_to("real.yaml")
    (project / "real.yaml").write_text("specs: [specs/*.yaml]\nout: deploy\n")
    assert run("-q")[0] == 0


RULES = {
    "above the repository": ("../own/ours", {}),
    "absolute": ("{own}/ours", {}),
    "a link": ("ours", {"ours": "../own/ours"}),
    "a linked file": ("mine", {"mine/x.yaml": "../../own/secrets.yaml"}),
    "a linked ruleset.yaml": ("other", {"other/ruleset.yaml": "../../own/ours/ruleset.yaml"}),
    "what it extends": ("extending", {}),
    "git's own": (".git/ours", {}),
}


def ruleset(folder: Path, extends: str = "default") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ruleset.yaml").write_text(f"ruleset: {{name: ours, extends: {extends}}}\n")


@pytest.mark.parametrize("case", RULES)
def test_rules_stay_inside_the_repository(project: Path, case: str) -> None:
    rules, links = RULES[case]
    own = project.parent / "own"
    for folder in (own / "ours", project / "mine", project / ".git/ours"):
        ruleset(folder)
    ruleset(project / "extending", "../../own/ours")
    for name, target in links.items():
        link(project / name, Path(target))
    (project / "gen-deploy.yaml").write_text(f"specs: [specs/*.yaml]\nout: deploy\nrules: {rules.format(own=own)}\n")
    for words in (["-q"], ["check"], ["lint"], ["test"], ["plan", "specs/a.yaml"], ["rules", "show"]):
        code, said = run(*words)
        assert (code, "gen-deploy.yaml:3:8: error[outside-project]: rules: " in said, SECRET in said) == (1, True, False), (words, said)
    assert not (project / "deploy").exists()
    assert run("-q", "--rules", "default")[0] == 0


def test_rules_of_a_repository_are_shared_by_its_projects(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ruleset(project / "ours")
    (project / "team/specs").mkdir(parents=True)
    (project / "team/specs/b.yaml").write_text(SPEC)
    (project / "team/gen-deploy.yaml").write_text("specs: [specs/*.yaml]\nout: deploy\nrules: ../ours\n")
    monkeypatch.chdir(project / "team")
    assert run("-q") == (0, "")
    assert json.loads((project / "team/deploy/b/plan.json").read_text())["rules"]["name"] == "ours"


def test_a_tree_of_rules_stays_inside(project: Path) -> None:
    """Also where no project file names it: deleting that is no way around."""
    (project / "gen-deploy.yaml").unlink()
    (project / "rules/default").mkdir(parents=True)
    (project / "rules/vocabulary.yaml").write_text("names: {}\n")
    link(project / "rules/default/ruleset.yaml", Path("../../../own/secrets.yaml"))
    for words in (["lint"], ["test"]):
        code, said = run(*words)
        assert (code, "outside-project" in said, SECRET in said) == (1, True, False), said


def model(key: str, written: str, beside: str = "") -> str:
    return f"name: m\nmodel: {{id: me/mine, {key}: '{written}'{beside}}}\nhardware: {{gpu: L4-24GB}}\n"


MODELS = {
    "config above": ("config", "../../own/config.json", {}),
    "config absolute": ("config", "{own}/config.json", {}),
    "config at home": ("config", "~/config.json", {}),
    "config at home that is a folder": ("config", "~/", {}),
    "config by a link": ("config", "c.json", {"specs/c.json": "../../own/config.json"}),
    "config in a linked folder": ("config", "c", {"specs/c": "../../own"}),
    "config in a folder, by a link": ("config", "d", {"specs/d/config.json": "../../../own/config.json"}),
    "config of git": ("config", "../.git/config", {}),
    "quantization beside a config": ("config", "q.json", {"specs/hf_quant_config.json": "../../own/config.json"}),
    "gguf above": ("gguf", "../../own/m.gguf", {}),
    "gguf of the kernel": ("gguf", "/proc/self/environ", {}),
}


@pytest.mark.parametrize("case", MODELS)
def test_model_files_stay_inside(project: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    key, written, links = MODELS[case]
    own = project.parent / "own"
    monkeypatch.setenv("HOME", str(own))
    for name, target in links.items():
        link(project / name, Path(target))
    (project / "specs/m.yaml").write_text(model(key, written.format(own=own)))
    shutil.copy(own / "config.json", project / "specs/q.json")
    for words in (["-q"], ["check"], ["plan", "specs/m.yaml"], ["explain", "specs/m.yaml"], ["-q", "-o", "x", "specs/m.yaml"]):
        code, said = run(*words)
        assert code == 1, (words, said)
        assert "specs/m.yaml:2:" in said
        assert f"error[outside-project]: {key}: " in said
        assert f"{ALLOW}=FOLDER" in said
    if key == "config" and case not in ("config of git", "quantization beside a config"):
        monkeypatch.setenv(ALLOW, f"/nowhere{os.pathsep}{own}")
        assert run("plan", "specs/m.yaml")[0] == 0


def test_a_teacher_s_config_stays_inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SPEC + "quantize: {teacher: {id: me/big, config: ../../own/config.json}}\n"
    (project / "specs/a.yaml").write_text(text)
    code, said = run("quantize", "specs/a.yaml", "--job", "distillation", "-o", "x")
    assert (code, "specs/a.yaml:3:42: error[outside-project]: config: 'config.json' is outside" in said) == (1, True), said
    monkeypatch.setenv(ALLOW, str(project.parent / "own"))
    assert "outside-project" not in run("quantize", "specs/a.yaml", "--job", "distillation", "-o", "x")[1]


def test_the_shards_of_an_index_stay_inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(project.parent / "own/config.json", project / "specs/c.json")
    index = project / "specs/model.safetensors.index.json"
    (project / "specs/m.yaml").write_text(model("config", "c.json", f", safetensors: {index.name}"))
    index.write_text(json.dumps({"metadata": {"total_size": 4}, "weight_map": {"x": "../../own/model.safetensors"}}))
    assert "error[safetensors-corrupt]" in run("plan", "specs/m.yaml")[1]
    index.write_text(json.dumps({"metadata": {"total_size": 4}, "weight_map": {"x": "shard"}}))
    (project / "specs/shard").symlink_to("../../own/model.safetensors")
    code, said = run("plan", "specs/m.yaml")
    assert (code, "error[outside-project]: safetensors: 'shard' is outside" in said) == (1, True)
    monkeypatch.setenv(ALLOW, str(project.parent / "own"))
    assert "outside-project" not in run("plan", "specs/m.yaml")[1]


def test_both_sides_of_a_diff_stay_inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = project.parent / "own"
    (project / "specs/m.yaml").write_text(model("config", f"{own}/config.json"))
    for words in (["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *words], check=True)
    (project / "specs/a.yaml").write_text(SPEC + "deploy: {port: 9000}\n")
    for words in (["diff", "HEAD"], ["diff", "HEAD..HEAD"], ["diff", "HEAD", "specs/m.yaml"], ["diff", "handbook..default"]):
        code, said = run(*words)
        assert code == (1 if words[-1] == "handbook..default" else code)
        assert str(own / "config.json") not in said
    (project / "specs/m.yaml").write_text(model("config", f"{own}/config.json") + "deploy: {port: 9000}\n")
    assert "outside-project" in run("diff", "HEAD")[1]
    monkeypatch.setenv(ALLOW, str(own))
    code, said = run("diff", "HEAD")
    assert (code, "outside-project" in said) == (0, False)


def test_weights_that_git_does_not_keep_are_read_from_the_working_tree(project: Path) -> None:
    (project / ".gitignore").write_text("*.json\n")
    shutil.copy(project.parent / "own/config.json", project / "specs/c.json")
    (project / "specs/m.yaml").write_text(model("config", "c.json"))
    for words in (["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *words], check=True)
    (project / "specs/m.yaml").write_text(model("config", "c.json") + "deploy: {port: 9000}\n")
    assert run("diff", "HEAD")[0] == 0
    (project / "specs/c.json").unlink()
    (project / "specs/c.json").symlink_to("../../own/config.json")
    assert "outside-project" in run("diff", "HEAD")[1]


def test_cases_read_beside_themselves(project: Path) -> None:
    """The cases of a rule set are run by `test` and `lint`: without a project file too."""
    (project / "gen-deploy.yaml").unlink()
    ruleset(project / "ours")
    (project / "ours/cases").mkdir()
    given = "{model: {id: me/mine, config: ../../../../own/config.json}, hardware: {gpu: L4-24GB}}"
    (project / "ours/cases/x.yaml").write_text(f"- id: x\n  given: {given}\n  expect: {{choice: {{engine: vllm}}}}\n")
    assert "is outside the project" in run("test", "--rules", "ours")[1]
    (project / "ours/cases/x.yaml").unlink()
    (project / "ours/cases/x.yaml").symlink_to("../../../own/secrets.yaml")
    for words in (["test", "--rules", "ours"], ["lint", "--rules", "ours"]):
        code, said = run(*words)
        assert (code, "outside-project" in said, SECRET in said) == (1, True, False)


def test_outside_projects_nothing_changes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = project.parent / "own"
    (own / "m.yaml").write_text(model("config", "../own/config.json"))
    assert run("plan", str(own / "m.yaml"))[0] == 0
    monkeypatch.chdir(own)
    assert run("plan", "m.yaml")[0] == 0


def test_a_spec_in_a_project_is_held_to_it_from_anywhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "specs/m.yaml").write_text(model("config", "../../own/config.json"))
    monkeypatch.chdir(project.parent)
    assert "outside-project" in run("plan", "checkout/specs/m.yaml")[1]
    (project / "linked").symlink_to(project.parent / "own")
    (project.parent / "own/m.yaml").write_text(model("config", "config.json"))
    assert "outside-project" in run("plan", "checkout/linked/m.yaml")[1]


def test_a_spec_in_a_submodule_is_held_to_the_project(project: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "sub"], check=True)
    (project / "sub/m.yaml").write_text(model("config", "../../own/config.json"))
    (project / "gen-deploy.yaml").write_text("specs: [sub/*.yaml]\nout: deploy\n")
    code, said = run("check")
    assert (code, "outside-project" in said) == (1, True)


@pytest.mark.parametrize(
    ("path", "inside"),
    [("a", True), (".", True), ("a/../b", True), ("..", False), ("../project2", False), ("a/.Git/x", False), (".git", False), (".gitignore", True),
     ("a\0b", False), ("x.git", True), (".git /x", False)],
)  # fmt: skip
def test_what_lies_in_a_folder(tmp_path: Path, path: str, inside: bool) -> None:
    (tmp_path / "project").mkdir()
    assert lies_in(tmp_path / "project" / path, [os.path.realpath(tmp_path / "project")]) is inside
