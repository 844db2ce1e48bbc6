"""Asks SGLang itself: its argument parser, and ServerArgs.resolve_once() on the CPU. No model is loaded.

Runs with the interpreter that setup.sh prints. Input and output as in vllm/check_vllm.py. With --resolve, `--device cpu` is
added: without an accelerator SGLang resolves nothing else, so what it refuses on a certain GPU is not seen.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.abc
import importlib.machinery
import io
import json
import os
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")


class Inert(types.ModuleType):
    """A module that is not installed; what is taken from it does nothing."""

    __path__: list[str] = []  # noqa: RUF012 - what makes it a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__getattr__": lambda self, inner: None})


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules that SGLang's model configuration imports and does not use here."""

    names = ("torchvision",)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] in self.names else None

    def create_module(self, spec: Any) -> Inert:
        return Inert(spec.name)

    def exec_module(self, module: Any) -> None:
        """Nothing to run."""


def arguments(words: list[str]) -> list[str]:
    """Words without those that start the server."""
    if words[:1] == ["sglang"]:
        rest = words[2:]
        return ["--model-path", *rest] if rest and not rest[0].startswith("-") else rest
    return words


class Asker:
    """SGLang's own parser."""

    def __init__(self) -> None:
        from sglang.srt.server_args import ServerArgs

        parser = argparse.ArgumentParser()
        ServerArgs.add_cli_args(parser)
        self.known = set(parser._option_string_actions)
        self.folder = Path(tempfile.mkdtemp(prefix="check-sglang-"))
        with contextlib.suppress(ImportError):  # older releases lack it; a GPU has what it asks for
            from sglang.srt.arg_groups import mamba_hook

            mamba_hook._platform_supports_mamba_cache_extra_buffer = lambda: True

    def answer(self, case: dict[str, Any], resolve: bool) -> dict[str, Any]:
        """The verdict on one case."""
        from sglang.srt.server_args import prepare_server_args

        errors, stage = io.StringIO(), "parse"
        words = self._words(case, resolve)
        problem = self._strict(words)
        if problem:
            return {"id": case["id"], "verdict": "reject", "stage": "strict", "error": problem, "warnings": []}
        caught: list[Any] = []
        try:
            with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                given = prepare_server_args(words)
                if resolve:
                    stage = "resolve"
                    given.resolve_once()
            verdict, error = "accept", None
        except SystemExit:
            lines = errors.getvalue().strip().splitlines()
            verdict, error = "reject", lines[-1] if lines else "exit"
        except Exception as raised:
            verdict, error = "reject", f"{type(raised).__name__}: {str(raised).strip()[:500]}"
        said = [*errors.getvalue().splitlines(), *(str(w.message) for w in caught if "sglang" in str(w.filename))]
        return {"id": case["id"], "verdict": verdict, "stage": stage, "error": error, "warnings": [s[:200] for s in said if "deprecat" in s.lower()]}

    def _words(self, case: dict[str, Any], resolve: bool) -> list[str]:
        words = arguments(list(case["words"]))
        if case.get("config") is not None and "--config" in words:
            path = self.folder / "config.yaml"
            path.write_text(case["config"])
            words[words.index("--config") + 1] = str(path)
        words = ["127.0.0.1:20000" if "HEAD_ADDRESS" in word else word for word in words]
        if resolve and case.get("model", {}).get("config"):
            text = json.dumps(case["model"]["config"], sort_keys=True)
            folder = self.folder / hashlib.sha256(text.encode()).hexdigest()[:16]  # a path must not change its model: it caches by path
            folder.mkdir(exist_ok=True)
            (folder / "config.json").write_text(text)
            words = [str(folder) if word == case["checkpoint"] else word for word in words]
            words += ["--device", "cpu"]
        return words

    def _strict(self, words: list[str]) -> str | None:
        import yaml

        keys = [word.partition("=")[0] for word in words if word.startswith("--")]
        if any(word.startswith("--config=") for word in words):
            return "--config=FILE is never read"
        if "--config" in words:
            keys += [f"--{key}" for key in yaml.safe_load(Path(words[words.index("--config") + 1]).read_text()) or {}]
        wrong = [key for key in keys if key not in self.known]
        return f"unknown or abbreviated option {wrong[0]}" if wrong else None


def main() -> None:
    """Answer for every line of the input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resolve", action="store_true", help="also resolve the arguments, on the CPU")
    asked = parser.parse_args()
    if asked.resolve:
        import transformers
        import transformers.image_utils

        transformers.utils.import_utils.is_torchvision_available()  # decides that there is none before the stand-in appears
        sys.meta_path.append(StandIn())
    asker = Asker()
    for line in sys.stdin:
        print(json.dumps(asker.answer(json.loads(line), asked.resolve)), flush=True)


if __name__ == "__main__":
    main()
