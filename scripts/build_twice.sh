#!/usr/bin/env bash
# Builds wheel and sdist of the current commit twice, each from a clone of its own, and compares the bytes; the result lies in the folder named.
#   scripts/build_twice.sh dist
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:?"usage: scripts/build_twice.sh FOLDER"}
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
python -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'build>=1.2'
for n in 1 2; do
  git clone --quiet "$root" "$work/source$n"
  "$work/venv/bin/python" -m build --outdir "$work/dist$n" "$work/source$n"
done
(cd "$work/dist1" && sha256sum -- *) >"$work/sums"
(cd "$work/dist2" && sha256sum --check --strict "$work/sums")
mkdir -p -- "$out"
cp -- "$work"/dist1/* "$out"/
cat "$work/sums"
