"""`gen-deploy diff` and weights: only their headers are read, wherever they lie, and what is missing is named as the spec names it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ENVIRONMENT, OURS, PROJECT, ROOT, commit, put, repository

from generator.cli.main import main

GIB = 1 << 30
MIB = 1 << 20
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072, "torch_dtype": "bfloat16",
}  # fmt: skip
SPEC = "model: {id: own/model, config: ../models/config.json, safetensors: ../models/model.safetensors}\nhardware: {gpu: L4-24GB}\npin: {quantization: bf16}\n"
MEMORY_KB = 50 << 10
"""What weights may add to the memory of a comparison."""
MEASURED = """
import resource, sys
from generator.cli.main import main
code = main(sys.argv[1:])
most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(code, most, file=sys.stderr)
"""


def weights(path: Path, size: int, name: str = "weight") -> None:
    """A safetensors file with one tensor of this many bytes, which are a hole in the file."""
    header = json.dumps({name: {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)


def run(folder: Path, *words: str) -> tuple[int, int, str, str]:
    """Exit code, the most memory of one process in KB, and what was printed."""
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", MEASURED, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    *said, last = done.stderr.splitlines()
    code, most = last.split()
    return int(code), int(most), done.stdout, "\n".join(said)


def said(*words: str) -> tuple[int, str, str]:
    """The same in this process: exit code and what was printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*words])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec with weights of its own, which are not there yet; commands run there."""
    (tmp_path / "repo").mkdir()
    monkeypatch.chdir(tmp_path / "repo")
    return repository(tmp_path / "repo", {**OURS, "gen-deploy.yaml": PROJECT, "specs/own.yaml": SPEC, "models/config.json": json.dumps(CONFIG)})


def test_of_weights_only_the_header_is_read(repo: Path) -> None:
    commit(repo)
    weights(repo / "models/model.safetensors", 16 * MIB)
    small = run(repo, "diff", "HEAD", "--format", "json")
    weights(repo / "models/model.safetensors", 14 * GIB)
    code, most, out, err = run(repo, "diff", "HEAD", "--format", "json")
    assert (code, err) == (small[0], small[3]) == (0, "")
    assert most - small[1] < MEMORY_KB
    assert json.loads(out)["unplanned"] == 0


def test_weights_that_git_does_not_keep_are_those_of_the_working_tree(repo: Path) -> None:
    put(repo, {".gitignore": "*.safetensors\n"})
    commit(repo)
    weights(repo / "models/model.safetensors", 14 * GIB)
    code, out, err = said("diff", "HEAD..HEAD", "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)["unplanned"] == 0


def test_weights_of_a_commit_are_those_of_the_working_tree(repo: Path) -> None:
    """What they were, the lock records: headers are not taken out of git."""
    weights(repo / "models/model.safetensors", 16 * MIB)
    commit(repo)
    weights(repo / "models/model.safetensors", 14 * MIB)
    code, out, err = said("diff", "HEAD..HEAD", "--format", "json")
    assert (code, err) == (0, "")
    assert (json.loads(out)["unplanned"], json.loads(out)["changes"]) == (0, [])


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(b'weights').hexdigest()}\nsize {16 * MIB}\n"


@pytest.mark.parametrize("form", ["text", "markdown", "json", "github"])
@pytest.mark.parametrize("kind", ["missing", "pointer"])
def test_weights_that_are_not_there(kind: str, form: str, repo: Path) -> None:
    if kind == "pointer":
        put(repo, {"models/model.safetensors": POINTER})
    commit(repo)
    lower = (repo / "ours/thresholds.yaml").read_text().replace("value: 100000", "value: 20000")
    put(repo, {"ours/thresholds.yaml": lower})
    commit(repo)
    for words in (("HEAD~1",), ("HEAD~1..HEAD",)) if form == "text" else (("HEAD~1..HEAD",),):
        code, out, err = said("diff", *words, "--format", form)
        assert code == 1
        assert "specs/own.yaml" in err
        assert "error[cannot-plan]" in err
        assert ("`git lfs pull`" if kind == "pointer" else "No such file") in err
        assert "models/model.safetensors" in err
        assert "leave `safetensors` out" in err
        assert "/tmp" not in out + err
        assert "gen-deploy-" not in out + err
        assert str(repo) not in out + err


def test_a_header_that_is_wrong_is_named_as_in_the_repository(repo: Path) -> None:
    put(repo, {"models/model.safetensors": "\0" * 40})
    commit(repo)
    put(repo, {"ours/thresholds.yaml": (repo / "ours/thresholds.yaml").read_text().replace("100000", "20000")})
    code, out, err = said("diff", "HEAD")
    assert code == 1
    assert "models/model.safetensors" in err
    assert "gen-deploy-" not in out + err


def test_check_without_the_weights(repo: Path) -> None:
    code, out, err = said("check")
    assert (code, out) == (1, "")
    assert err.startswith("specs/own.yaml:1:68: error[unreadable]: specs/../models/model.safetensors: cannot read the file: No such file or directory; ")


def test_a_sparse_file_is_no_weight_of_this_machine(repo: Path) -> None:
    """The files above are holes: nothing of this file's size was written."""
    weights(repo / "models/model.safetensors", 14 * GIB)
    assert os.stat(repo / "models/model.safetensors").st_blocks * 512 < MIB  # noqa: PTH116
