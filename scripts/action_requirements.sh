#!/usr/bin/env bash
# Pins what the Action installs: every dependency of gen-deploy and of its build, for all platforms and Pythons, each file by its hash.
# Needs uv (`pip install uv`); run it to take newer versions, and review the change.
#
#   scripts/action_requirements.sh
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' |
  uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: --generate-hashes --no-annotate \
    --custom-compile-command scripts/action_requirements.sh --upgrade --output-file scripts/action_requirements.txt pyproject.toml -
