"""The table of what test_jobs.py recorded, as Markdown:  python quantize_proof.py RECORD > table.md"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HEAD = """| job | tool | predicted bytes | found | off | left wide | vLLM's configuration | vLLM on a CPU | s | peak MiB |
|---|---|---:|---:|---:|---:|---|---|---:|---:|"""


def main() -> None:
    """Print a line for each job; of a job that was recorded twice the later one."""
    found = {entry["id"]: entry for entry in map(json.loads, Path(sys.argv[1]).read_text().splitlines())}
    print(HEAD)
    for entry in found.values():
        off = entry["predicted"] / entry["tensor_bytes"] - 1
        accepted = {"accept": "accepted"}.get(entry["vllm"], entry["vllm"])
        print(
            f"| {entry['id']} | {entry['tool']} {entry['version']} | {entry['predicted']:,} | {entry['tensor_bytes']:,} | {off:+.2%} "
            f"| {len(entry['wide'])} | {accepted} | {entry['served']} | {entry['seconds']} | {entry['peak_mib']} |"
        )


if __name__ == "__main__":
    main()
