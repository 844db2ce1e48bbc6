#!/usr/bin/env bash
# Sets up SGLang 0.5.23 so that its own argument parser and ServerArgs.resolve_once() run on a machine without a GPU.
# 2.5 GB on disk; 5 to 15 minutes. torchvision is left out on purpose: beside a CPU torch, transformers fails to import it.
# Usage: tests/engines/sglang/setup.sh [FOLDER]    prints the interpreter to run check_sglang.py with
set -euo pipefail

version=${SGLANG_VERSION:-0.5.23}
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/gen-deploy/engines/sglang-$version}
python=${PYTHON:-python3.11}
if [ -f "$folder/.ready" ]; then
  echo "$folder/bin/python"
  exit 0
fi
mkdir -p "$(dirname "$folder")"
"$python" -m venv "$folder" >&2
pip=("$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir)
"${pip[@]}" torch==2.13.0 >&2
"${pip[@]}" --no-deps "sglang==$version" triton >&2
"${pip[@]}" msgspec orjson numpy "transformers==5.19.0" pydantic pyyaml psutil requests pyzmq tqdm pybase64 pillow packaging \
  fastapi uvicorn uvloop regex python-multipart partial_json_parser setproctitle xxhash einops interegular \
  prometheus-client aiohttp IPython >&2
"${pip[@]}" --no-deps dill apache-tvm-ffi==0.1.11 sentencepiece==0.2.1 compressed-tensors==0.18.0 loguru gguf >&2
"$folder/bin/python" -c "import sglang.srt.server_args" >&2
touch "$folder/.ready"
echo "$folder/bin/python"
