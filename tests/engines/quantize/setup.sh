#!/usr/bin/env bash
# Sets up the tools that make quantised checkpoints, each in an environment of its own (they pin different versions of
# transformers), so that the jobs of `gen-deploy quantize` run to their end on a tiny model, on the CPU. From PyPI only.
#   llm-compressor  LLM Compressor 0.14.0.1: 1.5 GB, 2 minutes
#   gptqmodel       GPTQModel 7.7.0: 1.6 GB, 2 minutes (a source package; nothing is compiled on a CPU)
#   modelopt        NVIDIA Model Optimizer 0.47.0: 1.6 GB, 1 minute
#   trl             TRL 1.16.0 with Model Optimizer beside it, for the jobs that train and prune: 1.7 GB, 2 minutes
#   llama.cpp       what llama.cpp's converter reads safetensors with: 1.4 GB, 1 minute
# Sizes are with a CPU build of torch, where pip finds one; PyPI's own wheel brings CUDA: 5 GB more each.
# torch is 2.13.0 here, one for all: GPTQModel asks for 2.14.1, and pip's complaint about that is expected.
# Usage: tests/engines/quantize/setup.sh [TOOL…]      all by default; prints the interpreters
set -euo pipefail

declare -A versions=([llm-compressor]=0.14.0.1 [gptqmodel]=7.7.0 [modelopt]=0.47.0 [trl]=1.16.0 [llama.cpp]=b11312)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gen-deploy/quantize
python=${PYTHON:-python3.11}

install() { "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2; }

# Without CUDA's libraries torchvision cannot register its operators; no job calls them. Transformers only has to import it.
without_operators() {
  local site
  site=$("$folder/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
  if ! "$folder/bin/python" -c "import torchvision" 2> /dev/null; then : > "$site/torchvision/_meta_registrations.py"; fi
  "$folder/bin/python" -c "from torchvision.transforms.v2 import functional"
}

for tool in "${@:-llm-compressor gptqmodel modelopt trl llama.cpp}"; do
  for name in $tool; do
    version=${versions[$name]:?"no such tool: $name"}
    folder=$cache/$name-$version
    if [ ! -f "$folder/.ready" ]; then
      mkdir -p "$cache"
      "$python" -m venv "$folder" >&2
      install torch==2.13.0
      case $name in
        llm-compressor)
          install "llmcompressor==$version" transformers==5.17.0 compressed-tensors==0.19.0 datasets==5.2.0 accelerate==1.15.0
          install --no-deps torchvision==0.28.0
          without_operators
          "$folder/bin/python" -c "import llmcompressor" >&2
          ;;
        gptqmodel)
          install --no-deps "gptqmodel==$version" "tokenicer>=0.0.14" "torchao>=0.18.0" "defuser>=0.0.28"
          install transformers==5.24.0 datasets==5.2.0 "accelerate>=1.15.0" "numpy>=2.4.6" "safetensors>=0.8.0" "filelock>=4.2.4" \
            "threadpoolctl>=3.7.0" "packaging>=26.3" "device-smi>=0.5.7" "protobuf>=7.36.2" "pillow>=13.0.0" "requests>=2.34.2" \
            "pypcre>=0.6.4" "logbar>=0.4.15" "jinja2>=3.1.6" "ninja>=1.13.2" "maturin>=1.15.0" "pyarrow>=26.0.0" "dill>=0.4.1"
          "$folder/bin/python" -c "import gptqmodel" > /dev/null 2>&1
          ;;
        modelopt)
          install "nvidia-modelopt==$version" "transformers>=4.57,<5.15" "accelerate>=1.0.0" "datasets>=3.0.0" requests
          "$folder/bin/python" -c "import modelopt.torch.quantization" > /dev/null 2>&1
          ;;
        trl)
          install "trl==$version" nvidia-modelopt==0.47.0 transformers==5.14.1 accelerate==1.15.0 peft==0.21.2 datasets==5.2.0 requests pyyaml
          "$folder/bin/python" -c "import trl" > /dev/null 2>&1
          ;;
        llama.cpp)
          install transformers==5.17.0 sentencepiece protobuf gguf
          ;;
      esac
      touch "$folder/.ready"
    fi
    echo "$folder/bin/python"
  done
done
