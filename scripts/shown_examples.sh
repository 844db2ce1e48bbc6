#!/usr/bin/env bash
# The specs of a folder of examples whose output is committed, one a line: FOLDER/NAME.yaml for each FOLDER/out/NAME.
#   scripts/shown_examples.sh examples
set -euo pipefail
for folder in "$1"/out/*/; do
  printf '%s.yaml\n' "$1/$(basename "$folder")"
done
