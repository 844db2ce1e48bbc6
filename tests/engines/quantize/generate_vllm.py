"""Loads a checkpoint in vLLM on the CPU and continues a text by five tokens; prints how many came.

Runs with the interpreter that ../vllm/setup_cpu.sh prints:  .../bin/python generate_vllm.py FOLDER
"""

import sys

from vllm.entrypoints.llm import LLM
from vllm.sampling_params import SamplingParams


def main() -> None:
    """Load, generate, count."""
    engine = LLM(sys.argv[1], enforce_eager=True, max_model_len=256, max_num_seqs=2)
    (answer,) = engine.generate(["The quick brown fox"], SamplingParams(max_tokens=5, ignore_eos=True, temperature=0))
    print("tokens:", len(answer.outputs[0].token_ids))


if __name__ == "__main__":
    main()
