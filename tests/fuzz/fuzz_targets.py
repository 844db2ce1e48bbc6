"""Every file that the tool reads, as a target: seeds, and the command that reads a file of these bytes.

A target may refuse its file or take it. It may not raise, end with another code than the contract's, call itself wrong, move the
cursor, print without end, take long, or touch what is not its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES = tuple(f"rules/{room}/**/*.yaml" for room in ("default", "physics", "facts"))
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests/architecture")) if path not in sys.path]

from gguf_file import LLAMA, gguf, llama_tensors  # noqa: E402

from generator.cli.main import main  # noqa: E402

SECONDS = 2.0
"""Processor time that one file may take, beside what the same command takes with a good one."""

OUTPUT = 1 << 20
"""Characters that one file may make the tool print."""

CODES = (0, 1, 2, 3, 4, 5)
OURS = ("error of gen-deploy", "Traceback", "not-as-meant")
LARGEST = 24_000
"""Bytes of a seed: larger ones are slow to change, and say no more."""

SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\npin: {engine: vllm}\n"


class Wrong(AssertionError):
    """What a target may not do."""


def command(*words: str | Path) -> tuple[int, str]:
    """A command of the tool, held to the contract; returns its code and what it printed.

    Raises `Wrong` where the contract is broken, and whatever else comes through.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    said = out.getvalue() + err.getvalue()
    if code not in CODES:
        raise Wrong(f"exit code {code}")
    if any(word in err.getvalue() for word in OURS):
        raise Wrong(f"an error of ours: {err.getvalue()[:300]}")
    if len(said) > OUTPUT:
        raise Wrong(f"{len(said)} characters printed")
    if not all(line.isprintable() for line in err.getvalue().split("\n")):
        raise Wrong(f"control characters printed: {err.getvalue()[:300]!r}")
    return code, said


@dataclass(frozen=True)
class Target:
    """One kind of file. `form` says how it is changed: `yaml`, `json`, `text` or `bytes`."""

    name: str
    form: str
    seeds: Callable[[], Iterator[bytes]]
    run: Callable[[bytes, Path], None]
    prepare: Callable[[Path], None] = lambda folder: None


def files(*globs: str, most: int = 40) -> Callable[[], Iterator[bytes]]:
    """The files of the repository that match, but for large ones."""

    def read() -> Iterator[bytes]:
        found = sorted({path for glob in globs for path in ROOT.glob(glob) if path.is_file() and path.stat().st_size <= LARGEST})
        yield from (path.read_bytes() for path in found[:: max(1, len(found) // most)])

    return read


def put(folder: Path, **texts: str | bytes) -> None:
    """Files of a folder, `_` in their names for a dot, `__` for a slash."""
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def one_of(data: bytes, *commands: tuple[str | Path, ...]) -> tuple[int, str]:
    """One of several commands, by the data: the same each time."""
    return command(*commands[sum(data[:4096]) % len(commands)])


# ---- what a spec names


def _spec(data: bytes, folder: Path) -> None:
    put(folder, spec_yaml=data)
    spec, out = folder / "spec.yaml", folder / "out"
    one_of(data, ("plan", spec, "--json"), (spec, "-o", out), ("explain", spec), ("quantize", spec, "-o", out), ("check", spec, "-o", out))
    shutil.rmtree(out, ignore_errors=True)


def _model(text: str, file: str) -> Callable[[bytes, Path], None]:
    def run(data: bytes, folder: Path) -> None:
        path = folder / file
        path.write_bytes(data)
        if not file.endswith(".json"):
            os.truncate(path, len(data) + (8 << 20))  # the weights, which nobody reads
        put(folder, spec_yaml=text)
        command("plan", folder / "spec.yaml", "--json")

    return run


HARDWARE = "hardware: {gpu: A100-80GB}\n"
SHAPE = (ROOT / "tests/data/configs/Qwen__Qwen2-0.5B-Instruct.json").read_bytes()


INDEX = "model.safetensors.index.json"


def _tensors_spec(file: str) -> str:
    return f"model: {{id: a/b, config: config.json, safetensors: {file}}}\n{HARDWARE}"


def _config_beside(folder: Path) -> None:
    (folder / "config.json").write_bytes(SHAPE)


def _tensors() -> dict[str, Any]:
    names, at = {}, 0
    for name, shape in [("model.embed_tokens.weight", [151936, 896]), ("model.layers.0.self_attn.q_proj.weight", [896, 896]), ("model.norm.weight", [896])]:
        size = 2
        for n in shape:
            size *= n
        names[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return names


def _safetensors_seeds() -> Iterator[bytes]:
    headers: list[dict[str, Any]]
    headers = [_tensors(), {"__metadata__": {"format": "pt"}, **_tensors()}, {"a": {"dtype": "F8_E4M3", "shape": [], "data_offsets": [0, 1]}}, {}]
    for data in headers:
        raw = json.dumps(data).encode()
        yield struct.pack("<Q", len(raw)) + raw


def _index_seeds() -> Iterator[bytes]:
    indexes: list[dict[str, Any]]
    weights = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(_tensors())}
    indexes = [{"metadata": {"total_size": 1}, "weight_map": weights}, {"weight_map": {}}, {"weight_map": {"a": "../../x.safetensors"}}]
    for data in indexes:
        yield json.dumps(data, indent=1).encode()


def _gguf_seeds() -> Iterator[bytes]:
    whole = gguf(LLAMA, llama_tensors())
    yield whole[: whole.index(b"blk.1.ffn_down.weight") + 4096]
    yield gguf({**LLAMA, "split.no": 0, "split.count": 2, "split.tensors.count": 4}, llama_tensors()[:1])[:4096]
    yield gguf({"general.architecture": "qwen2", "a": [1, 2, 3], "b": ["x"], "c": 0.5, "d": True}, [])


# ---- rules, projects


def _rules(file: str) -> Callable[[bytes, Path], None]:
    def run(data: bytes, folder: Path) -> None:
        rules = folder / "rules"
        shutil.rmtree(rules, ignore_errors=True)
        put(rules, ruleset_yaml="ruleset: {name: ours, extends: default}\n")
        put(rules, **{file.replace(".", "_"): data})
        put(folder, spec_yaml=SPEC)
        spec = folder / "spec.yaml"
        of = ("--rules", rules)
        one_of(data, ("plan", spec, "--json", *of), ("lint", "--no-cases", *of), ("explain", spec, *of), ("list", "gpus", *of))

    return run


def _tree_files() -> list[str]:
    return sorted(str(path.relative_to(ROOT / "rules")) for path in (ROOT / "rules").rglob("*.yaml") if path.stat().st_size <= LARGEST)


def _tree_seeds() -> Iterator[bytes]:
    """Files of the shipped tree, each with its name in a first line."""
    for name in _tree_files():
        if not name.startswith(("handbook", "facts/flags")):
            yield f"#@{name}\n".encode() + (ROOT / "rules" / name).read_bytes()


def _copy_tree(folder: Path) -> None:
    if not (folder / "tree").exists():
        shutil.copytree(ROOT / "rules", folder / "tree")


def _tree(data: bytes, folder: Path) -> None:
    head = data.split(b"\n", 1)[0].decode(errors="replace").removeprefix("#@")
    name = head if head in _tree_files() else "default/reject.yaml"
    file, kept = folder / "tree" / name, (ROOT / "rules" / name).read_bytes()
    put(folder, spec_yaml=SPEC)
    try:
        file.write_bytes(data)
        command("plan", folder / "spec.yaml", "--json", "--rules", folder / "tree/default")
    finally:
        file.write_bytes(kept)


def _project(data: bytes, folder: Path) -> None:
    place = folder / "checkout"
    put(place, gen__deploy_yaml=b"", specs__a_yaml=SPEC)
    (place / "gen").mkdir(exist_ok=True)
    shutil.rmtree(place / "gen")
    (place / "gen-deploy.yaml").write_bytes(data)
    (folder / "victim").write_text("x")
    before = Path.cwd()
    os.chdir(place)
    try:
        one_of(data, ("plan", "--json"), ("generate",), ("check",), ("lint", "--no-cases"))
    finally:
        os.chdir(before)
    found = sorted(path.name for path in folder.iterdir())
    if found != ["checkout", "victim"]:
        raise Wrong(f"something outside the project was touched: {found}")


PROJECTS = [
    b"specs: [specs/*.yaml]\nout: out\n", b"specs: [a.yaml, 'specs/**']\nout: deploy/out\nrules: default\n", b"specs: []\nout: ../x\n",
    b"specs: ['../**']\nout: .git\nrules: ./rules\n", b"specs: ['[a-z]*{b,c}']\nout: '$(x)'\n",
]  # fmt: skip


# ---- what engines wrote, what starts them, what we wrote


def _log(data: bytes, folder: Path) -> None:
    put(folder, engine_log=data, spec_yaml="model: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: L4-24GB}\n")
    command("calibrate", folder / "engine.log", "--spec", folder / "spec.yaml", "--json")


def _bench(data: bytes, folder: Path) -> None:
    put(folder, bench_json=data, spec_yaml="model: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: RTX4090-24GB}\n")
    command("calibrate", "--bench", folder / "bench.json", "--spec", folder / "spec.yaml", "--json")


BENCHES = [
    {"backend": "vllm", "model_id": "m", "num_prompts": 20, "max_concurrency": 4, "completed": 20, "total_input_tokens": 1000, "total_output_tokens": 400,
     "duration": 4.5, "request_throughput": 4.4, "output_throughput": 88.1, "total_token_throughput": 300.0, "mean_ttft_ms": 30.1, "median_ttft_ms": 29.0,
     "mean_tpot_ms": 11.2, "median_tpot_ms": 11.0, "p99_tpot_ms": 15.0},
    [{"model_filename": "m.gguf", "n_prompt": 512, "n_gen": 0, "avg_ts": 1000.5, "stddev_ts": 2.0},
     {"model_filename": "m.gguf", "n_prompt": 0, "n_gen": 128, "avg_ts": 50.0}],
    {"requests": 10, "failed": 0, "seconds": 3.2, "output_tokens": 100, "input_tokens": 1000, "concurrency": 2, "engine": "tgi"},
]  # fmt: skip


def _launch(file: str) -> Callable[[bytes, Path], None]:
    def run(data: bytes, folder: Path) -> None:
        (folder / file).write_bytes(data)
        path = folder / file
        one_of(data, ("verify", path), ("verify", path, "--json", "--engine", "vllm"), ("verify", path, "--strict", "--engine", "llama.cpp"))

    return run


KUBERNETES = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: x}
spec:
  template:
    spec:
      containers:
      - {name: vllm, image: "vllm/vllm-openai:v0.33.0", args: ["--model", "m", "--max-model-len", "4096"], env: [{name: A, value: "1"}]}
---
apiVersion: v1
kind: ConfigMap
data: {config.yaml: "max-model-len: 4096"}
"""


def _generated(folder: Path) -> None:
    put(folder, spec_yaml=SPEC)
    if not (folder / "good").exists():
        command(folder / "spec.yaml", "-o", folder / "good", "--quiet")


def _set(folder: Path, file: str, data: bytes) -> Path:
    """The generated set with one file of these bytes, and something beside it that is nobody's to touch."""
    out = folder / "sets"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder / "good", out)
    (out / "spec" / file).write_bytes(data)
    (out / "spec" / "notes.txt").write_text("mine")
    (out / "victim").write_text("x")
    (folder / "victim").write_text("x")
    return out


def _manifest(data: bytes, folder: Path) -> None:
    out, spec = _set(folder, "manifest.json", data), folder / "spec.yaml"
    job = (spec, "-o", out)
    commands = [(*job, "--prune", "--force"), job, ("check", *job), (*job, "--prune")]
    chosen = commands[sum(data[:4096]) % len(commands)]
    command(*chosen)
    theirs = [out / "victim", folder / "victim", spec, out / "spec/notes.txt"]
    if left := [path for path in theirs if not path.is_file()]:
        raise Wrong(f"somebody else's file is gone: {left}")


def _manifest_seeds() -> Iterator[bytes]:
    for path in sorted((ROOT / "examples/out").glob("*/manifest.json"))[::12]:
        data = json.loads(path.read_bytes())
        yield json.dumps(data, indent=1).encode()
        for name in ("notes.txt", "../victim", "../../victim", "/etc/hostname", "vllm/../notes.txt", "vllm"):
            if isinstance(data.get("files"), dict):
                yield json.dumps({**data, "files": {**data["files"], name: "0" * 64}, "stale": {name: "0" * 64}}).encode()


def _plan(data: bytes, folder: Path) -> None:
    out = _set(folder, "plan.json", data)
    one_of(data, ("verify", out / "spec"), ("check", folder / "spec.yaml", "-o", out))


def _cases(data: bytes, folder: Path) -> None:
    put(folder, cases_yaml=data)
    command("test", folder / "cases.yaml", "--rules", "default")


TARGETS = [
    Target("spec", "yaml", files("examples/*.yaml", "examples/all-engines/*.yaml"), _spec),
    Target("config", "json", files("tests/data/configs/*.json"), _model(f"model: {{id: a/b, config: config.json}}\n{HARDWARE}", "config.json")),
    Target("gguf", "bytes", _gguf_seeds, _model("model: {id: a/b, gguf: m.gguf}\nhardware: {gpu: RTX4090-24GB}\n", "m.gguf")),
    Target("safetensors", "bytes", _safetensors_seeds, _model(_tensors_spec("m.safetensors"), "m.safetensors"), _config_beside),
    Target("index", "json", _index_seeds, _model(_tensors_spec(INDEX), INDEX), _config_beside),
    Target("ruleset", "yaml", files("rules/*/ruleset.yaml", "examples/policies/*/ruleset.yaml"), _rules("ruleset.yaml")),
    Target("rules", "yaml", files("examples/policies/*/*.yaml", *RULES, most=80), _rules("more.yaml")),
    Target("tree", "yaml", _tree_seeds, _tree, _copy_tree),
    Target("cases", "yaml", files("tests/cases/default/*.yaml", "examples/policies/*/cases/*.yaml"), _cases),
    Target("project", "yaml", lambda: iter(PROJECTS), _project),
    Target("log", "text", files("tests/data/logs/*.log"), _log),
    Target("bench", "json", lambda: (json.dumps(data).encode() for data in BENCHES), _bench),
    Target("launch-script", "text", files("examples/out/*/*/serve.sh", most=20), _launch("serve.sh")),
    Target("launch-compose", "yaml", files("examples/out/*/*/compose.yaml", most=20), _launch("compose.yaml")),
    Target("launch-kubernetes", "yaml", lambda: iter([KUBERNETES]), _launch("deployment.yaml")),
    Target("launch-config", "yaml", files("examples/out/*/*/config.yaml", most=20), _launch("config.yaml")),
    Target("launch-modelfile", "text", files("examples/*/*/*/Modelfile", "examples/out/*/*/Modelfile"), _launch("Modelfile")),
    Target("manifest", "json", _manifest_seeds, _manifest, _generated),
    Target("plan", "json", files("examples/out/*/plan.json", most=12), _plan, _generated),
]  # fmt: skip
BY_NAME = {target.name: target for target in TARGETS}


def judged(target: Target, data: bytes, folder: Path, slack: float = 1.0) -> str | None:
    """What is wrong with how a target takes these bytes, in a line; None where nothing is."""
    started = time.process_time()
    try:
        target.run(data, folder)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"{type(error).__name__} at {_where(error)}: {error}"[:600]
    took = time.process_time() - started
    return f"{took:.1f} s of processor time" if took > SECONDS * slack else None


def _where(error: BaseException) -> str:
    """The last place in the project's own code."""
    found, trace = "?", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if "generator" in path.parts:
            found = f"{path.name}:{trace.tb_frame.f_code.co_name}"
        trace = trace.tb_next
    return found


def parsed(form: str, data: bytes) -> Any:
    """A seed as data, to be changed part by part. Raises `ValueError` or `yaml.YAMLError`."""
    if form == "json":
        return json.loads(data)
    return yaml.load(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def dumped(form: str, data: Any) -> bytes:
    """The same the other way."""
    if form == "json":
        return json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass")
    text = yaml.dump(data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, allow_unicode=True, width=10_000)
    return str(text).encode("utf-8", "surrogatepass")
