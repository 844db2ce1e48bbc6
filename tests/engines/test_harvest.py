"""scripts/harvest.py: what it reads in a package's source, how it writes spans, and how little of a wheel it asks for."""

from __future__ import annotations

import functools
import http.server
import importlib
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.quantity import version_key

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "scripts") not in sys.path:
    sys.path.append(str(ROOT / "scripts"))
fetch, static, spans, apply, report, vllm, sglang, llama_cpp, models = (
    importlib.import_module(f"harvesting.{name}") for name in ("fetch", "static", "spans", "apply", "report", "vllm", "sglang", "llama_cpp", "models")
)  # fmt: skip

VLLM = {
    "vllm/config/cache.py": """
from typing import Literal
from pydantic import Field
CacheDType = Literal["auto", "fp8"]
@config
class CacheConfig:
    block_size: int | None = None
    gpu_memory_utilization: float = Field(default=0.92, gt=0, le=1)
    cache_dtype: CacheDType = "auto"
    layers: list[str] | None = None
    enable_prefix_caching: bool = True
    offload: EPLB | None = None
@config
class EPLB:
    size: int = 1
""",
    "vllm/engine/arg_utils.py": '''
from vllm.config.cache import CacheConfig
class EngineArgs:
    @staticmethod
    def add_cli_args(parser):
        cache_kwargs = get_kwargs(CacheConfig)
        group = parser.add_argument_group("cache")
        group.add_argument("--block-size", **cache_kwargs["block_size"])
        group.add_argument("--gpu-memory-utilization", "-gmu", **cache_kwargs["gpu_memory_utilization"])
        group.add_argument("--kv-cache-dtype", **cache_kwargs["cache_dtype"])
        group.add_argument("--layers", **{**cache_kwargs["layers"], "default": None})
        group.add_argument("--enable-prefix-caching", **cache_kwargs["enable_prefix_caching"])
        group.add_argument("--offload", **cache_kwargs["offload"])
        group.add_argument("--disable-log-stats", action="store_true")
class AsyncEngineArgs(EngineArgs):
    @staticmethod
    def add_cli_args(parser):
        parser.add_argument("--max-log-len", type=int, default=None)
''',
    "vllm/entrypoints/openai/cli_args.py": """
@dataclass
class FrontendArgs:
    host: str | None = None
    port: int = 8000
    tool_call_parser: str | None = None
    allowed_origins: list[str] = field(default_factory=list)
    @staticmethod
    def add_cli_args(parser):
        frontend_kwargs = get_kwargs(FrontendArgs)
        frontend_kwargs["allowed_origins"]["type"] = json.loads
        del frontend_kwargs["allowed_origins"]["nargs"]
        valid = list(ToolParserManager.tool_parsers.keys())
        frontend_kwargs["tool_call_parser"]["choices"] = valid
        for key, value in frontend_kwargs.items():
            group.add_argument(f"--{key.replace('_', '-')}", **value)
def make_arg_parser(parser):
    parser.add_argument("model_tag", nargs="?")
    parser.add_argument("--headless", action="store_true")
""",
    "vllm/tool_parsers/__init__.py": '_TOOL_PARSERS_TO_REGISTER = {"hermes": ("a", "B"), "qwen": ("c", "D")}\n',
    "vllm/reasoning/__init__.py": '_REASONING_PARSERS_TO_REGISTER = {"r1": ("a", "B")}\n',
    "vllm/model_executor/layers/quantization/__init__.py": 'QuantizationMethods = Literal["awq", "fp8"]\n',
    "vllm/model_executor/layers/quantization/fp8.py": """
class Fp8Config:
    def get_name(cls): return "fp8"
    def get_min_capability(cls): return 75
""",
    "vllm/envs.py": 'environment_variables = {\n    "VLLM_ONE": lambda: 1,\n}\n',
    "vllm/v1/metrics/loggers.py": 'NAME = "vllm:kv_cache_usage_perc"\n',
    "vllm/model_executor/models/registry.py": """
_TEXT_GENERATION_MODELS = {"LlamaForCausalLM": ("llama", "LlamaForCausalLM")}
_PREVIOUSLY_SUPPORTED_MODELS = {"QWenLMHeadModel": "0.23.0"}
""",
}
EXPECTED: dict[str, dict[str, Any]] = {
    "--help": {"names": ["-h"], "type": "switch"},
    "--headless": {"type": "switch"},
    "--block-size": {"type": "int"},
    "--gpu-memory-utilization": {"names": ["-gmu"], "type": "float", "default": 0.92},
    "--kv-cache-dtype": {"type": "string", "choices": ["auto", "fp8"], "default": "auto"},
    "--layers": {"type": "string", "nargs": "+"},
    "--enable-prefix-caching": {"off": ["--no-enable-prefix-caching"], "type": "switch", "default": True},
    "--offload": {"type": "json"},
    "--disable-log-stats": {"type": "switch"},
    "--max-log-len": {"type": "int"},
    "--host": {"type": "string"},
    "--port": {"type": "int", "default": 8000},
    "--tool-call-parser": {"type": "string", "choices": ["hermes", "qwen"]},
    "--allowed-origins": {"type": "json"},
}


def laid(tmp_path: Path, files: dict[str, str]) -> Any:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return static.Source(tmp_path)


def test_the_options_of_vllm_are_read_as_its_parser_makes_them(tmp_path: Path) -> None:
    source = laid(tmp_path, VLLM)
    said = vllm.harvest(source)
    assert said["options"] == EXPECTED
    assert (said["tool_parsers"], said["reasoning_parsers"], said["quantization"]) == (["hermes", "qwen"], ["r1"], ["awq", "fp8"])
    assert (said["min_capability"], said["declared"], said["metrics"]) == ({"fp8": 75}, ["VLLM_ONE"], ["vllm:kv_cache_usage_perc"])
    assert models.vllm(source) == (["LlamaForCausalLM"], ["QWenLMHeadModel"])


def test_a_word_that_cannot_be_worked_out_is_unsure_and_no_guess(tmp_path: Path) -> None:
    files = dict(VLLM)
    files["vllm/engine/arg_utils.py"] = VLLM["vllm/engine/arg_utils.py"].replace(
        '"--max-log-len", type=int', '"--max-log-len", choices=[platform.device_type]'
    )  # fmt: skip
    assert vllm.harvest(laid(tmp_path, files))["options"]["--max-log-len"] == {"type": "string", "unsure": "choices"}


SGLANG = {
    "sglang/srt/server_args.py": """
CHOICES = ["triton", "fa3"]
class ServerArgs:
    tp_size: A[int, Arg(help="x", cli_name="--tensor-parallel-size", aliases=["--tp-size"])] = 1
    watch: A[bool, "help"] = False
    hidden: A[bool, Arg(no_cli=True)] = False
    @staticmethod
    def add_cli_args(parser):
        parsers = list(FunctionCallParser.ToolCallParserEnum.keys())
        parser.add_argument("--tool-call-parser", type=str, choices=parsers, default=ServerArgs.watch)
        parser.add_argument("--attention-backend", type=str, choices=CHOICES)
        parser.add_argument("--old", action=DeprecatedAction, help="gone")
""",
    "sglang/srt/function_call/function_call_parser.py": 'class FunctionCallParser:\n    ToolCallParserEnum = {"qwen": Q, "glm": G}\n',
    "sglang/srt/environ.py": "class Envs:\n    SGLANG_ONE = EnvBool(True)\n",
}


def test_the_options_of_sglang_are_read_in_both_forms(tmp_path: Path) -> None:
    said = sglang.harvest(laid(tmp_path, SGLANG))
    assert said["options"] == {
        "--help": {"names": ["-h"], "type": "switch"},
        "--tensor-parallel-size": {"names": ["--tp-size"], "type": "int", "default": 1},
        "--watch": {"type": "switch", "default": False},
        "--tool-call-parser": {"type": "string", "choices": ["qwen", "glm"], "default": False},
        "--attention-backend": {"type": "string", "choices": ["triton", "fa3"]},
        "--old": {"deprecated": True, "type": "switch"},
    }
    assert said["declared"] == ["SGLANG_ONE"]


def test_the_options_of_llama_cpp_are_those_of_its_server(tmp_path: Path) -> None:
    text = """
    add_opt(common_arg(
        {"-c", "--ctx-size"}, "N", "size",
        [](common_params & params, int value) { params.n_ctx = value; }
    ).set_env("LLAMA_ARG_CTX_SIZE"));
    add_opt(common_arg(
        {"-cb", "--cont-batching"}, {"-nocb", "--no-cont-batching"}, "x",
        [](common_params & params, bool value) { }
    ).set_examples({LLAMA_EXAMPLE_SERVER}));
    add_opt(common_arg(
        {"--chunks"}, "N", "x", [](common_params & params, int value) { }
    ).set_examples({LLAMA_EXAMPLE_IMATRIX}));
    add_opt(common_arg(
        {"--draft"}, "N", "gone", [](common_params & params, int value) { arg_removed("x"); }
    ).set_examples({LLAMA_EXAMPLE_SERVER}));
"""
    assert llama_cpp.options(laid(tmp_path, {"common/arg.cpp": text})) == {
        "--ctx-size": {"names": ["-c"], "type": "int", "env": "LLAMA_ARG_CTX_SIZE"},
        "--cont-batching": {"names": ["-cb"], "off": ["-nocb", "--no-cont-batching"], "type": "switch"},
    }


VERSIONS = ["1.0", "2.0", "3.0"]
CHANGES: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "nothing is new": ({"type": "int", "least": 1}, {"3.0": {"type": "int"}}, None),
    "it came": (None, {"3.0": {"type": "int"}}, [{"type": "int", "since": "3.0"}]),
    "it went, and what to use instead stays": (
        {"type": "switch", "use": "--new"}, {"3.0": None}, [{"type": "switch", "use": "--new", "until": "3.0"}],
    ),
    "its words changed, its limits stay": (
        {"type": "int", "least": 1}, {"3.0": {"type": "int", "choices": ["1", "2"]}},
        [{"type": "int", "least": 1, "until": "3.0"}, {"type": "int", "least": 1, "choices": ["1", "2"], "since": "3.0"}],
    ),
    "an older release that was not listed has it too": ({"type": "int", "since": "3.0"}, {"2.0": {"type": "int"}}, [{"type": "int", "since": "2.0"}]),
    "a finer type that a person wrote stays": ({"type": "json"}, {"3.0": {"type": "string"}}, None),
    "the order of words says nothing": ({"type": "string", "choices": ["b", "a"]}, {"3.0": {"type": "string", "choices": ["a", "b"]}}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_spans(name: str) -> None:
    entries, read, expected = CHANGES[name]
    assert spans.changed(entries, VERSIONS, read) == expected


@pytest.mark.parametrize("engine", ["vllm", "sglang", "llama.cpp", "tensorrt-llm", "tgi"])
def test_a_file_without_news_keeps_its_bytes_and_its_spans(engine: str) -> None:
    text = (ROOT / f"rules/facts/flags/{engine}.yaml").read_text(encoding="utf-8")
    data = spans.load(text)
    assert spans.Section(text, "options").text() == text
    for name, entries in data["options"].items():
        rows = entries if isinstance(entries, list) else [entries]
        if any(spans.holds(row, version) for row in rows for version in data["versions"]):
            column = spans.laid_out(entries, data["versions"])
            assert spans.laid_out(spans.together(column, data["versions"]), data["versions"]) == column, name


def snapshot_of(engine: str, version: str) -> dict[str, Any]:
    """What the facts say of a version, in the form of a harvest."""
    table = spans.load((ROOT / f"rules/facts/flags/{engine}.yaml").read_text(encoding="utf-8"))
    options = {name: entry for name, rows in table["options"].items() if (entry := spans.laid_out(rows, [version])[version])}
    keys = ("names", "off", "type", "nargs", "choices", "words", "env")
    return {
        "version": version, "source": "vllm-option-history", "options": {n: {k: e[k] for k in keys if k in e} for n, e in options.items()},
        "env": [], "declared": [], "seconds": 0, "min_capability": {},
    }  # fmt: skip


def test_a_new_release_becomes_spans_and_moves_nothing_else(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "rules/facts", tmp_path / "rules/facts")
    shutil.copytree(ROOT / "rules/schemas", tmp_path / "rules/schemas")
    new = snapshot_of("vllm", "0.33.0")
    del new["options"]["--enforce-eager"]
    new["options"]["--brand-new"] = {"type": "string", "choices": ["a", "b"]}
    new["options"]["--dtype"]["choices"] = ["auto", "half"]
    flags = tmp_path / "rules/facts/flags/vllm.yaml"
    before = flags.read_text()
    done = apply.apply(tmp_path, "vllm", {"0.99.0": new})
    assert done == ["rules/facts/flags/vllm.yaml", "rules/facts/engines/vllm.yaml"]
    data = spans.load(flags.read_text())
    assert data["versions"][-1] == "0.99.0"
    assert data["options"]["--brand-new"] == {"type": "string", "choices": ["a", "b"], "since": "0.99.0"}
    assert data["options"]["--enforce-eager"]["until"] == "0.99.0"
    assert [row["choices"] for row in data["options"]["--dtype"]][-1] == ["auto", "half"]
    engine = spans.load((tmp_path / "rules/facts/engines/vllm.yaml").read_text())
    assert list(engine["versions"])[-1] == "0.99.0" and engine["default_version"] == "0.33.0"  # a person makes it the default
    changed = set(before.splitlines()) ^ set(flags.read_text().splitlines())
    assert all(any(word in line for word in ("--enforce-eager", "--brand-new", "--dtype", "choices: [auto,", '"0.', "versions")) for line in changed), changed
    assert apply.apply(tmp_path, "vllm", {"0.99.0": new}) == []  # the second time nothing is new
    page = report.page(tmp_path, "vllm", {"0.99.0": new}, report.before(ROOT, "vllm", {"0.99.0": new}), {}, None)
    assert "- added: `--brand-new`" in page and "- removed: `--enforce-eager`" in page and "`--dtype`: choices: not" in page


def test_the_facts_are_held_to_a_version_that_is_read_again() -> None:
    assert report.differences(ROOT, "vllm", {"0.20.0": snapshot_of("vllm", "0.20.0")}) == {"0.20.0": []}
    wrong = snapshot_of("vllm", "0.20.0")
    del wrong["options"]["--dtype"]
    assert report.differences(ROOT, "vllm", {"0.20.0": wrong}) == {"0.20.0": ["`--dtype` is not there, and the facts had it"]}


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves files by ranges of bytes, as package indexes do, and counts what it sends."""

    sent = 0

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        first, last = (int(part) for part in self.headers["Range"].removeprefix("bytes=").split("-"))
        part = data[first : last + 1]
        Ranges.sent += len(part)
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def end_headers(self) -> None:
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "index"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Ranges, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()


def test_only_the_text_of_a_wheel_is_asked_for(index: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = index
    monkeypatch.setattr(fetch, "TAIL", 64 * 1024)
    with zipfile.ZipFile(folder / "one.whl", "w") as wheel:
        wheel.writestr("one/a.py", "a = 1\n")
        wheel.writestr("one/kernels.so", bytes(3_000_000))
        wheel.writestr("one/b.py", "b = 2\n")
        wheel.writestr("one.dist-info/METADATA", "Name: one\n")
    out = tmp_path / "out"
    out.mkdir()
    assert fetch._by_ranges(f"{url}/one.whl", out)
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == {"one/a.py", "one/b.py", "one.dist-info/METADATA"}
    assert (out / "one/b.py").read_text() == "b = 2\n" and Ranges.sent < 200_000


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../outside.py", "x")
    with pytest.raises(fetch.Missing, match="outside itself"):
        fetch.unpack_archive(tmp_path / "bad.zip", tmp_path / "out")


def test_no_engine_is_planned_by_default_at_a_version_with_advisories() -> None:
    for path in (ROOT / "rules/facts/engines").glob("*.yaml"):
        facts = spans.load(path.read_text(encoding="utf-8"))
        assert version_key(facts["default_version"]) >= version_key(facts.get("safe_from", "0")), path.name
