#!/usr/bin/env bash
# Regenerate what is committed and generated: the examples' output, and what is generated in docs/. Run it after a change of rules or templates.
#   scripts/regenerate.sh          gen-deploy and python are those on PATH (activate the virtual environment first)
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

python scripts/make_schemas.py
gen-deploy $(scripts/shown_examples.sh examples) -o examples/out --quiet --force --prune
gen-deploy $(scripts/shown_examples.sh examples/all-engines) -o examples/all-engines/out --all-engines --quiet --force --prune
python scripts/handbook_table.py
python scripts/doc_tables.py
python scripts/engine_pages.py
python scripts/reference.py
python scripts/how_to.py
python scripts/translated.py
