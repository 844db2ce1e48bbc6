#!/usr/bin/env bash
# Sets up vLLM 0.33.0 so that its own parser and EngineArgs.create_engine_config() run on a machine without a GPU.
# 2.5 GB on disk; 5 to 15 minutes. vLLM asks for torch 2.14.0; the CPU build of 2.13.0 is enough for its configuration code,
# so pip's "dependency conflicts" at the end are expected: nothing of what they name is used.
# Usage: tests/engines/vllm/setup.sh [FOLDER]      prints the interpreter to run check_vllm.py with
set -euo pipefail

version=${VLLM_VERSION:-0.33.0}
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/gen-deploy/engines/vllm-$version}
python=${PYTHON:-python3.11}
if [ -f "$folder/.ready" ]; then
  echo "$folder/bin/python"
  exit 0
fi
mkdir -p "$(dirname "$folder")"
"$python" -m venv "$folder" >&2
pip=("$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir)
"${pip[@]}" torch==2.13.0 >&2
"${pip[@]}" --no-deps "vllm==$version" >&2
"${pip[@]}" regex cachetools psutil sentencepiece numpy "requests>=2.33.0" tqdm blake3 py-cpuinfo \
  "transformers>=5.16.1,<5.21.0" "huggingface_hub>=1.31.0" "tokenizers>=0.23.2" safetensors "protobuf>=5.29.6" \
  "fastapi[standard]>=0.133.0,<0.137.0" "starlette>=1.0.1" "aiohttp>=3.14.4" "openai>=2.25.0" "pydantic>=2.12.0" orjson \
  prometheus_client "pillow>=13.0.0" "prometheus-fastapi-instrumentator>=8.0.0" tiktoken typing_extensions filelock \
  partial-json-parser jsonschema "pyzmq>=25" msgspec pyyaml einops cloudpickle python-json-logger pybase64 cbor2 ijson \
  setproctitle "oss-harmony>=0.0.11" "mcp>=2.2.0,<3.0.0" "anthropic>=0.71.0" \
  "model-hosting-container-standards>=0.1.14,<1.0.0" "mistral_common[image]>=1.11.6" watchfiles lark==1.2.2 \
  outlines_core==0.2.14 "setuptools<81" six uvloop loguru >&2
"${pip[@]}" --no-deps compressed-tensors==0.17.0 depyf==0.20.0 astor xgrammar==0.2.8 apache-tvm-ffi==0.1.11 \
  "llguidance>=1.7.0,<1.8.0" lm-format-enforcer==0.11.3 interegular opentelemetry-api >&2
# Models that see need torchvision; its compiled operators want CUDA and are never called here, so it must not look for them.
"${pip[@]}" --no-deps torchvision==0.28.0 >&2
sed -i '/register_fake("torchvision::/d' "$folder"/lib/python*/site-packages/torchvision/_meta_registrations.py
VLLM_TARGET_DEVICE=cpu "$folder/bin/vllm" serve --help=all > /dev/null
touch "$folder/.ready"
echo "$folder/bin/python"
