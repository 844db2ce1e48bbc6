"""Asks vLLM itself: its `serve` parser, and EngineArgs.create_engine_config() with a pretended GPU. No model is loaded.

Runs with the interpreter that setup.sh prints, not with the project's own:

    .../bin/python check_vllm.py [--engine-config] < corpus.jsonl > answers.jsonl

Each line in has `id`, `words` (after `vllm serve`), `config` (text of the YAML file or null), `gpu`, `gpus`, `model`. Each
line out has `id`, `verdict` (accept or reject), `stage`, `error`, `warnings`. The parser is asked strictly: what it would take
as an abbreviation is refused, as is `--config=FILE`, which it takes and never reads.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import logging
import os
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any

os.environ.update(VLLM_NO_USAGE_STATS="1", HF_HUB_OFFLINE="1", VLLM_LOGGING_LEVEL="WARNING", TRANSFORMERS_VERBOSITY="error")

LAYOUTS: dict[str, dict[str, Any]] = {
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True},
    "fp8": {"quant_method": "fp8", "activation_scheme": "dynamic"},
}
"""What a checkpoint's config.json says of its quantisation, by layout: made here, since the catalogue names the layout only."""


class Pretended(types.ModuleType):
    """A compiled module that is not there; its functions are never called before weights load."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


class Gpu:
    """What the pretended platform reports; changed from case to case."""

    capability = (9, 0)
    count = 8
    gib = 80.0


def pretend_cuda() -> None:
    """Put a CUDA platform with GPUs in place of what vLLM would detect; must run before vLLM's modules are imported."""
    for name in ("_C_stable_libtorch", "_moe_C_stable_libtorch", "vllm_flash_attn._vllm_fa2_C", "vllm_flash_attn._vllm_fa3_C"):
        sys.modules.setdefault(f"vllm.{name}", Pretended(f"vllm.{name}"))
    import torch

    library = torch.library.Library("_C", "FRAGMENT")
    pretend_cuda.library = library  # type: ignore[attr-defined]
    probes = {
        "cutlass_scaled_mm_supports_fp8": lambda c: c >= 89,
        "cutlass_scaled_mm_supports_block_fp8": lambda c: c >= 90,
        "cutlass_scaled_mm_supports_fp4": lambda c: c >= 100,
        "cutlass_group_gemm_supported": lambda c: c in (90, 100),
    }
    for name, answer in probes.items():
        library.define(f"{name}(int cuda_device_capability) -> bool")
        library.impl(name, lambda _, answer=answer: answer(Gpu.capability[0] * 10 + Gpu.capability[1]), "CompositeExplicitAutograd")

    import vllm.platforms as platforms
    from vllm.platforms.cuda import CudaPlatformBase
    from vllm.platforms.interface import DeviceCapability

    answers: dict[str, Any] = {
        "get_device_capability": lambda cls, device_id=0: DeviceCapability(*Gpu.capability),
        "get_device_name": lambda cls, device_id=0: "pretended GPU",
        "get_device_uuid": lambda cls, device_id=0: f"GPU-{device_id}",
        "get_device_total_memory": lambda cls, device_id=0: int(Gpu.gib * 2**30),
        "is_fully_connected": lambda cls, ids: True,
        "device_count": lambda cls: Gpu.count,
        "get_device_numa_node": lambda cls, device_id=0: None,
        "get_all_device_numa_nodes": lambda cls: None,
        "import_kernels": lambda cls: None,
        "is_integrated_gpu": lambda cls, device_id=0: False,
        "num_compute_units": lambda cls, device_id=0: 132,
        "get_cuda_runtime_major": lambda cls: 13,
    }
    platform = type("PretendedCuda", (CudaPlatformBase,), {name: classmethod(answer) for name, answer in answers.items()})
    torch.cuda.device_count = lambda: Gpu.count
    platforms._current_platform = platform()
    from vllm.config.reasoning import ReasoningConfig

    ReasoningConfig.initialize_token_ids = lambda self, model_config: None  # the stand-in's tokenizer has none of a model's own words


def _tokenizer(folder: Path) -> None:
    """A tokenizer of a few words: a reasoning parser looks for one."""
    from tokenizers import Tokenizer, models

    words = ["<unk>", "<s>", "</s>", "<think>", "</think>", "<|channel|>", "<|message|>", "<|end|>", "<|start|>", "[THINK]", "[/THINK]"]
    Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"}))


class Heard(logging.Handler):
    """What vLLM warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Asker:
    """vLLM's own parser, as `vllm serve` builds it."""

    def __init__(self) -> None:
        from vllm.entrypoints.common.cli_args import make_arg_parser
        from vllm.utils.argparse_utils import FlexibleArgumentParser

        self.top = FlexibleArgumentParser(prog="vllm")
        self.serve = self.top.add_subparsers(required=False, dest="subparser").add_parser("serve")
        make_arg_parser(self.serve)
        self.folder = Path(tempfile.mkdtemp(prefix="check-vllm-"))

    def answer(self, case: dict[str, Any], engine_config: bool) -> dict[str, Any]:
        """The verdict on one case."""
        heard, errors, stage = Heard(), io.StringIO(), "parse"
        logging.getLogger("vllm").addHandler(heard)
        words = self._words(case, engine_config)
        try:
            problem = self._strict(words)
            if problem:
                return {"id": case["id"], "verdict": "reject", "stage": "strict", "error": problem, "warnings": []}
            with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from vllm.engine.arg_utils import AsyncEngineArgs
                from vllm.entrypoints.common.cli_args import validate_parsed_serve_args

                given = self.top.parse_args(["serve", *words])
                stage = "validate"
                if getattr(given, "model_tag", None) is not None:
                    given.model = given.model_tag
                validate_parsed_serve_args(given)
                arguments = AsyncEngineArgs.from_cli_args(given)
                if engine_config:
                    stage = "engine-config"
                    arguments.create_engine_config()
            verdict, error = "accept", None
        except SystemExit:
            lines = errors.getvalue().strip().splitlines()
            verdict, error = "reject", next((line for line in lines if "error:" in line), lines[-1] if lines else "exit")
        except Exception as raised:
            verdict, error = "reject", f"{type(raised).__name__}: {str(raised).strip()[:600]}"
        finally:
            logging.getLogger("vllm").removeHandler(heard)
        deprecated = [line for line in [*heard.lines, *errors.getvalue().splitlines()] if "deprecat" in line.lower()]
        return {"id": case["id"], "verdict": verdict, "stage": stage, "error": error, "warnings": deprecated}

    def _words(self, case: dict[str, Any], engine_config: bool) -> list[str]:
        words = list(case["words"])
        if case.get("config") is not None and "--config" in words:
            path = self.folder / "config.yaml"
            text = case["config"]
            if engine_config and case.get("model", {}).get("config") and "speculative-config:" in text:
                import yaml

                data = yaml.safe_load(text)
                data["speculative-config"] = self._drafted(case, data["speculative-config"])
                text = yaml.safe_dump(data)
            path.write_text(text)
            words[words.index("--config") + 1] = str(path)
        for i, word in enumerate(words):
            if word.startswith("${HEAD_ADDRESS") or word.startswith("$HEAD_ADDRESS"):
                words[i] = "127.0.0.1"
        if not engine_config:  # it looks for the model when the arguments are put together; any folder will do
            words = [str(self.folder) if word == case.get("checkpoint", words[0]) else word for word in words]
        elif case.get("model", {}).get("config"):
            Gpu.capability = tuple(int(part) for part in f"{float(case['gpu']['compute_capability']):.1f}".split("."))  # type: ignore[assignment]
            Gpu.count, Gpu.gib = int(case["gpu"]["gpus_per_node"]), float(case["gpu"]["gib"])
            words = [str(self._model(case)) if word == case["checkpoint"] else word for word in words]
        return words

    def _drafted(self, case: dict[str, Any], word: str) -> str:
        """The word with a folder in place of a draft that is on the hub: a stand-in, the model itself with one layer (and an Eagle-3 head)."""
        said = json.loads(word) if word.startswith("{") else {}
        if said.get("method") not in ("draft_model", "eagle3") or not said.get("model"):
            return word
        config = {**case["model"]["config"], "num_hidden_layers": 1, "layer_types": None, "max_window_layers": 1}
        if said["method"] == "eagle3":
            config |= {"architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama", "draft_vocab_size": 32000}
        return json.dumps({**said, "model": str(self._folder(config))})

    def _model(self, case: dict[str, Any]) -> Path:
        """A folder with the config.json of the case's model, as its checkpoint would have it."""
        config = dict(case["model"]["config"])
        layout = case["model"]["layouts"].get(case["checkpoint"])
        if case["origin"] in ("published", "named") and layout in LAYOUTS:
            quantised = dict(LAYOUTS[layout])
            if "group_size" in quantised and case["model"]["group_sizes"].get(case["checkpoint"]):
                quantised["group_size"] = case["model"]["group_sizes"][case["checkpoint"]]
            config["quantization_config"] = quantised
        if config.get("model_type") == "xlm-roberta":  # as it is published; the catalogue leaves it out
            config.setdefault("position_embedding_type", "absolute")
        return self._folder(config)

    def _folder(self, config: dict[str, Any]) -> Path:
        """A folder with this config.json and a tokenizer."""
        text = json.dumps(config, sort_keys=True)
        folder = self.folder / hashlib.sha256(text.encode()).hexdigest()[:16]  # a path must not change its model: both cache by path
        if not folder.exists():
            folder.mkdir()
            _tokenizer(folder)
            (folder / "config.json").write_text(text)
        return folder

    def _strict(self, words: list[str]) -> str | None:
        """What the parser would take and we do not."""
        import yaml

        known = set(self.serve._option_string_actions)
        keys = [word.partition("=")[0] for word in words if word.startswith("--")]
        if any(word.startswith("--config=") for word in words):
            return "--config=FILE is never read"
        if "--config" in words:
            data = yaml.safe_load(Path(words[words.index("--config") + 1]).read_text()) or {}
            keys += [f"--{key}" for key in data]
            dropped = [key for key, value in data.items() if value is False]
            if dropped:
                return f"{dropped[0]}: false is dropped"
        wrong = [key for key in keys if key.split(".")[0] not in known]
        return f"unknown or abbreviated option {wrong[0]}" if wrong else None


def main() -> None:
    """Answer for every line of the input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine-config", action="store_true", help="also create the engine's configuration, with a pretended GPU")
    parser.add_argument("--cpu", action="store_true", help="on the CPU platform instead")
    asked = parser.parse_args()
    if asked.cpu or not asked.engine_config:
        os.environ["VLLM_TARGET_DEVICE"] = "cpu"
    else:
        pretend_cuda()
    asker = Asker()
    for line in sys.stdin:
        print(json.dumps(asker.answer(json.loads(line), asked.engine_config)), flush=True)


if __name__ == "__main__":
    main()
