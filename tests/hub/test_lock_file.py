"""The lock as text: what is written is read back, what is hostile is refused, and it stays small."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.decide.decision import decide
from generator.errors import InputError, Place
from generator.hub.lock import Lock, LockedFile, Repository, Weights, bytes_of, folded, gguf_folded, gguf_unfolded, read_lock, text_of
from generator.readers.gguf_header import GgufArray, GgufHeader, GgufTensor
from generator.readers.resources import shipped
from generator.readers.safetensors_header import DTYPE_BITS, SafetensorsTensor
from generator.rulebook.book import load
from generator.spec.deployment import read_spec

PLACE = Place("gen-deploy.lock")
CONFIGS = Path(__file__).resolve().parents[1] / "data" / "configs"
WHOLE = Repository(
    commit="a" * 40, licence="mit", gated="auto", base_model=("acme/base",), files={"model.safetensors": LockedFile(12, "b" * 64)},
    config={"model_type": "qwen3", "a": [1, {"b": None}]}, quantization={"producer": {"name": "modelopt"}}, chat=(), remote_code="tokenizer",
    tensors=("2 × BF16 [3, 4] model.layers.*.w",), weights={"awq": Weights("awq", 99, None, 128, ("lm_head",))}, projectors={"mmproj.gguf": 7},
    gguf={"x.gguf": GgufHeader("x.gguf", 3, {"general.architecture": "llama", "n": GgufArray(5), "m": GgufArray(2, (1, 0))},
                               (GgufTensor("blk.0.w.weight", (256,), "q4_K", 144),))},
)  # fmt: skip


def read(tmp_path: Path, text: str) -> Lock:
    path = tmp_path / "gen-deploy.lock"
    path.write_text(text, encoding="utf-8")
    return read_lock(path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    lock = Lock({"acme/x": WHOLE, "acme/empty": Repository("c" * 40)}, {"./w.gguf": WHOLE.gguf["x.gguf"], "w.safetensors": WHOLE.tensors})
    again = read(tmp_path, text_of(lock))
    assert text_of(again) == text_of(lock)
    back = again.repositories["acme/x"]
    assert replace(back, gguf={}, files={}, config=None, quantization=None) == replace(WHOLE, gguf={}, files={}, config=None, quantization=None)
    assert dict(back.files) == dict(WHOLE.files) and back.config == WHOLE.config and back.gguf["x.gguf"].tensors == WHOLE.gguf["x.gguf"].tensors
    assert again.repositories["acme/empty"].chat is None and back.chat == ()


NAMES, TYPES = st.sampled_from(["attn_q.weight", "ffn_up_exps.weight"]), st.sampled_from(["q4_K", "q6_K", "f32"])


@given(st.lists(st.tuples(st.integers(0, 70), NAMES, TYPES), unique_by=lambda t: t[:2]))
def test_tensors_of_a_gguf_survive_folding(found: list[tuple[int, str, str]]) -> None:
    blocks = {name: (values, size) for name, values, size in shipped("gguf.json")["tensor_types"].values()}
    tensors = [GgufTensor(f"blk.{layer}.{name}", (512, 8), kind, 4096 // blocks[kind][0] * blocks[kind][1]) for layer, name, kind in found]
    tensors.append(GgufTensor("token_embd.weight", (256,), "f32", 1024))
    assert set(gguf_unfolded(gguf_folded(tensors), PLACE)) == set(tensors)


@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from(sorted(DTYPE_BITS)), st.lists(st.integers(0, 9), max_size=3))))
def test_bytes_survive_folding(found: list[tuple[int, str, list[int]]]) -> None:
    def size(dtype: str, shape: list[int]) -> int:
        values = 1
        for n in shape:
            values *= n
        return -(-values * DTYPE_BITS[dtype] // 8)

    tensors = [SafetensorsTensor(f"model.layers.{n}.experts.{i}.w", dtype, tuple(shape), size(dtype, shape)) for i, (n, dtype, shape) in enumerate(found)]
    groups = folded(tensors)
    assert bytes_of(groups, PLACE) == sum(t.size for t in tensors)
    assert len(groups) <= len({(t.dtype, t.shape) for t in tensors})


HOSTILE: dict[str, Any] = {
    "not JSON": "hello", "a merge conflict": '{\n<<<<<<< HEAD\n', "another version": {"version": 2}, "a list": [],
    "a commit that is a word": {"repositories": {"a/b": {"commit": "$(id)"}}},
    "negative bytes": {"repositories": {"a/b": {"commit": "a" * 40, "files": {"x": [-1, ""]}}}},
    "huge bytes": {"repositories": {"a/b": {"commit": "a" * 40, "files": {"x": [1 << 60, ""]}}}},
    "a file without digest": {"repositories": {"a/b": {"commit": "a" * 40, "files": {"x": [1]}}}},
    "tensors that are numbers": {"repositories": {"a/b": {"commit": "a" * 40, "tensors": [1]}}},
    "endless layers": {"local": {"x": {"metadata": {}, "tensors": ["f32 [1] blk.0-99999999.w"]}}},
    "many groups of many layers": {"local": {"x": {"metadata": {}, "tensors": [f"f32 [1] blk.0-60000.w{i}" for i in range(9)]}}},
    "a type that is none": {"local": {"x": {"metadata": {}, "tensors": ["q9_X [1] w"]}}},
    "metadata within metadata": {"local": {"x": {"metadata": {"a": [["b"]]}, "tensors": []}}},
    "a repository that is a text": {"repositories": {"a/b": "x"}},
}  # fmt: skip


@pytest.mark.parametrize("given", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_lock_is_refused_with_its_place(given: Any, tmp_path: Path) -> None:
    text = given if isinstance(given, str) else json.dumps({"version": 1, **given} if isinstance(given, dict) and "version" not in given else given)
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        text_of(read(tmp_path, text))  # entries are read when they are asked for
    assert time.monotonic() - began < 5
    assert "gen-deploy.lock:" in str(caught.value) and "error[" in str(caught.value)


@pytest.mark.parametrize("line", ["9999999 × BF16 [9, 9, 9] x", "1 × NONE [1] x", "× BF16 [1] x", "1 × BF16 [-1] x", "1 × BF16 1 x", "x" * 500])
def test_a_line_that_is_no_group_is_refused_or_counted(line: str) -> None:
    try:
        assert 0 <= bytes_of([line], PLACE) < 1 << 50
    except InputError as error:
        assert error.problems[0].code == "bad-lock"


def fifty() -> Lock:
    """Fifty models with their checkpoints, from published configs: each with five shards and six prepared checkpoints."""
    paths = sorted(CONFIGS.glob("*.json"))
    repositories: dict[str, Repository] = {}
    for number in range(50):
        config = json.loads(paths[number % len(paths)].read_text())
        config.pop("quantization_config", None)
        shards = {f"model-{i:05}-of-00005.safetensors": LockedFile(4_976_698_672 + i, f"{number * 7 + i:064x}") for i in range(5)}
        small = {name: LockedFile(12_345, f"{number:040x}") for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")}
        groups = tuple(f"36 × BF16 [4096, 12288] model.layers.*.{kind}.weight" for kind in map("mlp.part_{}_proj".format, range(14)))
        name = f"acme/model-{number}"
        repositories[name] = Repository(f"{number:040x}", "apache-2.0", files={**shards, **small}, config=config, chat=("tools",), tensors=groups)
        for one in ("FP8", "AWQ", "NVFP4", "W8A8"):
            repositories[f"{name}-{one}"] = Repository(
                f"{number:040x}", "apache-2.0", base_model=(name,), weights={one.lower(): Weights("compressed-tensors", 9_123_456_789, None, 128, ("lm_head",))}
            )
        types = ("q2_k", "q3_k_m", "q4_k_m", "q5_k_m", "q6_k", "q8_0")
        gguf = {f"gguf-{word}": Weights("gguf", 5_027_783_488, f"model-{number}-{word.upper()}.gguf") for word in types}
        repositories[f"unsloth/model-{number}-GGUF"] = Repository(f"{number:040x}", base_model=(name,), weights=gguf)
    return Lock(repositories)


def test_fifty_models_take_300_kb() -> None:
    assert len(text_of(fifty()).encode()) <= 300_000


@pytest.mark.slow
def test_a_plan_from_the_lock_costs_little_more_cpu_than_one_from_the_catalogue(tmp_path: Path) -> None:
    """At most 10 % (median of pairs), with a lock of fifty other models beside the one."""
    book = load("default")
    name = "Qwen/Qwen2.5-7B-Instruct"
    (tmp_path / "spec.yaml").write_text(f"model: {name}\nhardware: {{gpu: L40S-48GB}}\n")
    config = json.loads((CONFIGS / "Qwen__Qwen2.5-7B-Instruct.json").read_text())
    lock = fifty()
    mine = Repository("a" * 40, "apache-2.0", config=config, chat=("tools",), tensors=("1 × BF16 [7615616512] all",))
    checkpoints = {
        one.id: Repository("b" * 40, base_model=(name,), weights={method: Weights(one.layout or "gguf", one.size or 5_000_000_000, one.file, one.group_size)})
        for method, several in _published(book, name).items() for one in several
    }  # fmt: skip
    text = text_of(replace(lock, repositories={**lock.repositories, name: mine, **checkpoints}))

    def plans(with_lock: bool) -> float:
        path = tmp_path / "gen-deploy.lock"
        path.write_text(text) if with_lock else path.unlink(missing_ok=True)
        began = time.process_time()
        read_lock.__globals__["_parsed"].cache_clear()
        decide(read_spec(tmp_path / "spec.yaml"), load("default"))
        return time.process_time() - began

    plans(True), plans(False)
    ratios = sorted(plans(True) / plans(False) for _ in range(9))
    assert ratios[4] <= 1.10, ratios


def _published(book: Any, name: str) -> Any:
    from generator.facts.model import published

    return published(book.section("models")[name])
