"""`gen-deploy diff` in real repositories: what it says, what it exits with, and that it touches nothing."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from repository import ENVIRONMENT, OURS, PROJECT, commit, git, put, repository, rules_tree, spec

from generator.cli.main import main
from generator.rulebook.rules_check import words_of

SPECS = {
    "specs/chat.yaml": spec(),
    "specs/long.yaml": spec("H100-80GB", max_context=32768),
    "specs/longer.yaml": spec("H100-80GB", max_context=30000),
    "specs/agent.yaml": spec("H100-80GB", gpus=4, profile="agent", max_context=32000),
    "specs/big.yaml": spec("H100-80GB", "meta-llama/Llama-3.1-70B-Instruct", gpus=4),
    "specs/cpu.yaml": spec("cpu", profile="dev"),
}
FILES = {**OURS, **SPECS, "gen-deploy.yaml": PROJECT}

OWN = "model: {id: own/model, config: ../models/config.json}\nhardware: {gpu: L4-24GB}\n"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072, "torch_dtype": "bfloat16",
}  # fmt: skip


def run(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["diff", *words])
    return code, out.getvalue(), err.getvalue()


def told(*words: str) -> dict[str, Any]:
    code, out, err = run(*words, "--format", "json")
    assert (code, err) == (0, ""), err
    data: dict[str, Any] = json.loads(out)
    return data


@pytest.fixture(autouse=True)
def _clean_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)
    for name in list(os.environ):
        if name.startswith("GIT_") and name not in ENVIRONMENT:
            monkeypatch.delenv(name)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six specs and rules of one's own; the command runs there."""
    folder = repository(tmp_path / "repo", FILES)
    monkeypatch.chdir(folder)
    return folder


def edit(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def lower(folder: Path) -> None:
    edit(folder, "ours/thresholds.yaml", "value: 100000", "value: 20000")


def test_nothing_changed(repo: Path) -> None:
    code, out, err = run("main", "--exit-code")
    assert (code, err) == (0, "")
    assert out.startswith("No decision changes. 6 specs decide as before.\n")


def test_a_threshold_that_flips_three(repo: Path) -> None:
    """Told in at most 15 lines: the verdict, each spec with its row and number, the edit, the files."""
    lower(repo)
    code, out, err = run("main", "--exit-code")
    assert (code, err) == (3, "")
    lines = out.splitlines()
    assert len(lines) <= 15
    assert lines[0] == "3 of 6 specs decide differently: 3 no longer fit. GPUs 11 → 5; worst quality loss 2.62 → 2.62 percent (cpu). 3 decide as before."
    for name in ("long", "longer", "agent"):
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{name}: no longer fits; was vllm"))
        assert "ours-context rejects" in lines[at + 1]
        assert "ours.context_most 100000 → 20000 [ours/reject.yaml:3]" in lines[at + 1]
    edited = next(line for line in lines if line.startswith("  ours.context_most 100000 → 20000 (token, judgement-headroom"))
    assert edited.endswith("changes agent, long, longer")
    assert any(line.startswith("files: ") for line in lines)
    assert run("main")[0] == 0


def test_the_other_way_round(repo: Path) -> None:
    lower(repo)
    commit(repo)
    edit(repo, "ours/thresholds.yaml", "value: 20000", "value: 100000")
    data = told("main")
    assert {(c["name"], c["level"]) for c in data["changes"] if c["decisive"]} == {(n, "now-fits") for n in ("long", "longer", "agent")}
    assert {c["causes"][0]["did"] for c in data["changes"] if c["decisive"]} == {"no-longer-rejects"}


def test_between_commits_the_checkout_does_not_count(repo: Path) -> None:
    lower(repo)
    commit(repo)
    edit(repo, "ours/thresholds.yaml", "value: 20000", "value: 1")
    before = {p: p.read_bytes() for p in repo.rglob("*") if p.is_file()}
    data = told("HEAD~1..HEAD")
    assert data["changed"] == 3
    assert told("HEAD..HEAD")["changed"] == 0
    assert told("HEAD~1")["changed"] == 6
    assert {p: p.read_bytes() for p in repo.rglob("*") if p.is_file()} == before


def test_since_they_parted(repo: Path) -> None:
    git(repo, "checkout", "--quiet", "-b", "topic")
    commit(repo, "nothing")
    git(repo, "checkout", "--quiet", "main")
    lower(repo)
    commit(repo)
    assert told("main..topic")["changed"] == 3
    assert told("main...topic")["changed"] == 0


def test_only_some_specs(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower(repo)
    assert told("main", "specs/long.yaml", "specs/chat.yaml")["changed"] == 1
    monkeypatch.chdir(repo / "specs")
    data = told("main", "long.yaml")
    assert (data["changed"], data["specs"]) == (1, 1)
    assert told("main")["changed"] == 3


def test_the_guilty_edit_among_several(repo: Path) -> None:
    lower(repo)
    edit(repo, "ours/thresholds.yaml", "value: 8", "value: 2")
    data = told("main")
    by = {e["name"]: e["changes"] for e in data["edits"]}
    assert sorted(by["ours.context_most"]) == ["agent", "long", "longer"]
    assert sorted(by["ours.gpus_most"]) == ["agent", "big"]
    assert data["edits_traced"]


def test_an_edit_that_affects_nothing_is_listed(repo: Path) -> None:
    edit(repo, "ours/thresholds.yaml", "value: 8", "value: 7")
    code, out, _ = run("main", "--exit-code")
    assert code == 0
    assert "ours.gpus_most 8 → 7 (count, judgement-headroom, checked 2026-11-24) [ours/thresholds.yaml:3]: affects no decision" in out


def test_wording_is_no_change(repo: Path) -> None:
    edit(repo, "ours/reject.yaml", "our cache is for short contexts", "another reason")
    edit(repo, "ours/thresholds.yaml", "our longest context", "what we have room for")
    code, out, _ = run("main", "--exit-code")
    assert code == 0
    assert out.count(": wording only") == 2


def test_a_row_that_only_moves_is_no_edit(repo: Path) -> None:
    text = (repo / "ours/reject.yaml").read_text()
    head, first, second = text.split("  - id: ")
    first, second = f"  - id: {first}", f"  - id: {second}"
    (repo / "ours/reject.yaml").write_text(f"# a comment\n{head}{second}{first}")
    data = told("main")
    assert (data["changes"], data["edits"]) == ([], [])
    assert data["old"]["digest"] == data["new"]["digest"]


def test_an_edited_spec(repo: Path) -> None:
    """What the spec's author changed is told apart from what the rules change."""
    edit(repo, "specs/chat.yaml", "gpus_per_node: 1", "gpus_per_node: 2")
    lower(repo)
    data = told("main")
    by = {(c["name"], c["by"]): c["level"] for c in data["changes"] if c["decisive"]}
    assert by.pop(("chat", "spec")) == "gpus"
    assert by == {(name, "rules"): "no-longer-fits" for name in ("long", "longer", "agent")}
    assert run("main", "specs/chat.yaml", "--exit-code")[0] == 3


def test_specs_that_come_and_go(repo: Path) -> None:
    (repo / "specs/chat.yaml").rename(repo / "specs/other.yaml")
    data = told("main")
    assert (data["added"], data["removed"], data["changed"]) == (["specs/other.yaml"], ["specs/chat.yaml"], 0)
    commit(repo)
    assert told("main~1..main")["added"] == ["specs/other.yaml"]


def test_a_row_of_preference(repo: Path) -> None:
    row = "  - id: ours-sglang\n    order: {engine: [sglang]}\n    because: we know it best\n    source: judgement-headroom\n"
    put(repo, {"ours/prefer.yaml": f"table: prefer\nhit: first\nrows:\n{row}"})
    data = told("main")
    engines = [c for c in data["changes"] if c["level"] == "engine"]
    assert not engines or all(c["causes"] for c in engines)
    assert [e["id"] for e in data["edits"]] == ["tables/prefer/ours-sglang"]


def test_model_files_are_read_from_the_commit(repo: Path) -> None:
    put(repo, {"specs/own.yaml": OWN, "models/config.json": json.dumps(CONFIG)})
    commit(repo)
    put(repo, {"models/config.json": json.dumps({**CONFIG, "num_hidden_layers": 80})})
    data = told("HEAD", "specs/own.yaml")
    assert [(c["name"], c["by"], c["decisive"]) for c in data["changes"]] == [("own", "spec", True)]
    commit(repo)
    (repo / "models/config.json").unlink()
    assert told("HEAD~1..HEAD", "specs/own.yaml")["changed"] == 1


def test_the_quantization_file_beside_a_config_is_read_from_the_commit(repo: Path) -> None:
    put(repo, {"specs/own.yaml": OWN, "models/config.json": json.dumps(CONFIG)})
    commit(repo)
    put(repo, {"models/hf_quant_config.json": json.dumps({"quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}})})
    for words in ("HEAD", "HEAD~1..HEAD"):
        (change,) = told(words, "specs/own.yaml")["changes"]
        assert (change["name"], change["by"], change["decisive"]) == ("own", "spec", True)
        commit(repo)


def test_model_files_that_git_does_not_keep(repo: Path) -> None:
    put(repo, {".gitignore": "models/\n", "specs/own.yaml": OWN, "models/config.json": json.dumps(CONFIG)})
    commit(repo)
    assert told("HEAD..HEAD", "specs/own.yaml")["unplanned"] == 0


def test_folders(repo: Path) -> None:
    put(repo, {name.replace("ours/", "theirs/"): text for name, text in OURS.items()})
    edit(repo, "theirs/thresholds.yaml", "value: 100000", "value: 20000")
    code, out, err = run("ours..theirs", "--exit-code")
    assert (code, err) == (3, ""), err
    assert out.startswith("3 of 6 specs decide differently")
    assert run("ours..theirs", "specs/chat.yaml")[1].startswith("No decision changes. 1 spec decides as before.")


def test_shipped_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git and without a project, too."""
    put(tmp_path, {"a.yaml": spec()})
    monkeypatch.chdir(tmp_path)
    code, out, err = run("handbook..default", "a.yaml", "--exit-code")
    assert (code, err) == (3, "")
    assert "rules: handbook" in out


def test_a_whole_tree_of_rules(repo: Path) -> None:
    """A copy of `rules/` is compared as it is in each commit, facts included."""
    rules_tree(repo)
    put(repo, {"gen-deploy.yaml": "specs: [specs/*.yaml]\nout: deploy\n"})
    commit(repo)
    number = "chat.output_tokens: {meaning: answer, unit: token, value: 40"
    edit(repo, "rules/default/thresholds/policy.yaml", f"{number}0", f"{number}1")
    data = told("HEAD")
    assert [e["id"] for e in data["edits"]] == ["thresholds/chat.output_tokens"]
    assert data["edits"][0]["at"].startswith("rules/default/thresholds/policy.yaml:")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["memory.headroom", "sequences.capped"])
def test_a_history_that_adds_a_name_and_rows_that_read_it(repo: Path, name: str) -> None:
    """Each side is decided with its own vocabulary; and each edit on its own with what its rows read."""
    rules_tree(repo)
    put(repo, {"gen-deploy.yaml": "specs: [specs/*.yaml]\nout: deploy\n"})
    whole = {path: path.read_text() for path in (repo / "rules").rglob("*.yaml")}
    for path in whole:
        data = yaml.safe_load(whole[path])
        if isinstance(data, dict) and path.name != "ruleset.yaml" and "table" in data:
            kept = [row for row in data["rows"] if name not in words_of(row)]
            path.write_text(json.dumps({**data, "rows": kept})) if kept != data["rows"] else None
    vocabulary = yaml.safe_load(whole[repo / "rules/vocabulary.yaml"])
    vocabulary["names"].pop(name)
    put(repo, {"rules/vocabulary.yaml": json.dumps(vocabulary)})
    commit(repo)
    for path, text in whole.items():
        path.write_text(text)
    path = repo / "rules/default/thresholds/policy.yaml"
    path.write_text(re.sub(r"(headroom.floor: {.*?value: )[0-9.]+", r"\g<1>0.6", path.read_text()))
    commit(repo)
    for words in (("HEAD~1..HEAD",), ("HEAD..HEAD~1",)):
        data = told(*words)
        assert {f"names/{name}", "thresholds/headroom.floor"} <= {e["id"] for e in data["edits"]}
        assert data["changed"] >= 1


@pytest.mark.slow
def test_keys_of_another_version_in_the_past(repo: Path) -> None:
    """A commit may say what only another version of the tool reads; the working tree may not."""
    rules_tree(repo)
    put(repo, {"gen-deploy.yaml": "specs: [specs/chat.yaml]\nout: deploy\n"})
    engine = repo / "rules/facts/engines/vllm.yaml"
    now = engine.read_text()
    engine.write_text(f"{now}gone_since: x\n")
    commit(repo)
    code, _, err = run("HEAD")
    assert code == 1
    assert "rules/facts/engines/vllm.yaml" in err
    assert "error[unknown-key]: 'gone_since'" in err
    engine.write_text(now)
    assert told("HEAD")["changed"] == 0


WRONG: Mapping[str, tuple[tuple[str, ...], int, str]] = {
    "nothing": ((), 2, "name the revisions or folders to compare"),
    "option": (("--upload-pack=touch owned",), 2, "No such option"),
    "option behind dashes": (("--", "--upload-pack=touch owned"), 2, "cannot begin with '-'"),
    "option as head": (("main..--output=owned",), 2, "cannot begin with '-'"),
    "space": (("a b",), 2, "is not the name of a commit"),
    "empty": (("",), 2, "bad-ref"),
    "unknown": (("nope",), 1, "'nope' is not a commit of this repository"),
    "unknown head": (("main..nope",), 1, "'nope' is not a commit of this repository"),
    "unknown spec": (("main", "specs/nope.yaml"), 1, "has no file 'specs/nope.yaml'"),
    "spec outside": (("main", "/etc/passwd"), 1, "not inside the repository"),
    "rules outside": (("main", "--rules", "../../x"), 1, "not inside the repository"),
    "no such rules": (("main", "--rules", "oors"), 1, "main has no rule set 'oors'"),
    "one folder": (("ours..nope",), 1, "DIR..DIR compares two rule sets"),
    "format": (("main", "--format", "html"), 2, "html"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong(repo: Path, case: str) -> None:
    words, code, says = WRONG[case]
    found, out, err = run(*words)
    assert (found, out) == (code, ""), err
    assert says in err
    assert "Traceback" not in err
    assert not list(repo.rglob("owned*"))


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {"a.yaml": spec()})
    monkeypatch.chdir(tmp_path)
    code, _, err = run("main", "a.yaml")
    assert code == 1
    assert "not inside a git repository" in err
    assert "DIR..DIR" in err


def test_rules_that_are_wrong_name_their_commit(repo: Path) -> None:
    edit(repo, "ours/reject.yaml", "max_context:", "max_contxt:")
    commit(repo)
    edit(repo, "ours/reject.yaml", "max_contxt:", "max_context:")
    code, _, err = run("HEAD")
    assert code == 1
    assert err.startswith("HEAD:ours/reject.yaml:4:")
    assert "did you mean 'max_context'" in err


def test_a_spec_that_is_wrong_does_not_hide_the_others(repo: Path) -> None:
    lower(repo)
    put(repo, {"specs/broken.yaml": "model: x\n", "specs/unknown.yaml": spec("L40S-47GB")})
    code, out, err = run("main")
    assert code == 1
    assert "specs/broken.yaml:1:1: error[missing-key]" in err
    assert "specs/unknown.yaml" in err
    assert "3 no longer fit" in out


def test_rules_in_a_submodule(repo: Path) -> None:
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repo), "vendor")
    put(repo, {"gen-deploy.yaml": PROJECT.replace("ours", "vendor/ours")})
    commit(repo)
    code, _, err = run("HEAD")
    assert code == 1
    assert "is in the submodule 'vendor'" in err


def test_a_project_file_that_is_new(repo: Path) -> None:
    """Before there was one, the main job used the shipped rules."""
    (repo / "gen-deploy.yaml").unlink()
    commit(repo)
    put(repo, {"gen-deploy.yaml": PROJECT})
    data = told("HEAD")
    assert (data["old"]["name"], data["new"]["name"], data["specs"]) == ("default", "ours", 6)


def test_a_base_without_the_rule_set(repo: Path) -> None:
    git(repo, "rm", "--quiet", "-r", "ours")
    commit(repo)
    put(repo, OURS)
    code, out, err = run("HEAD")
    assert (code, out) == (1, "")
    assert err.startswith("error[unknown-ruleset]: HEAD has no rule set 'ours'")


def test_a_spec_that_is_on_one_side_only(repo: Path) -> None:
    put(repo, {"specs/other.yaml": spec("A100-80GB")})
    assert told("main", "specs/other.yaml")["changed"] == 0
    (repo / "specs/chat.yaml").unlink()
    code, _, err = run("main", "specs/chat.yaml")
    assert (code, "the working tree has no file 'specs/chat.yaml'" in err) == (1, True)


def test_bytes_that_are_no_text(repo: Path) -> None:
    """In a commit's rules: the place in that commit. In a spec: the others are compared."""
    put(repo, {"ours/more.yaml": "table: reject\nrows: []\n"})
    (repo / "ours/more.yaml").write_bytes(bytes(range(256)))
    commit(repo)
    (repo / "ours/more.yaml").unlink()
    code, _, err = run("HEAD")
    assert (code, err.startswith("HEAD:ours/more.yaml:2:118: error[not-utf8]")) == (1, True), err
    commit(repo)
    (repo / "specs/chat.yaml").write_bytes(bytes(range(256)))
    code, out, err = run("HEAD")
    assert (code, err.startswith("specs/chat.yaml:2:118: error[not-utf8]")) == (1, True), err
    assert out.startswith("No decision changes. 5 specs decide as before.")


def test_an_object_that_is_broken(repo: Path) -> None:
    sha = git(repo, "rev-parse", "HEAD:ours/reject.yaml")
    path = repo / ".git/objects" / sha[:2] / sha[2:]
    path.chmod(0o600)
    path.write_bytes(b"nonsense")
    code, out, err = run("HEAD")
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert sha[:12] in err
