#!/usr/bin/env bash
# Runs gen-deploy for a step of action.yml. What it prints may hold names and texts of a pull request, so GitHub is told to
# take no line of it for a command; only annotations that gen-deploy itself wrote come after that.
#
#   action.sh lint …                     stdout and stderr into the log
#   action.sh --to FILE diff …           stdout into FILE, stderr into the log
#   action.sh --annotate lint …          stdout are annotations (`--format github`), stderr goes into the log
#
# Python is isolated (-I): neither the folder that it runs in nor a variable puts modules before those of the installation.
set -euo pipefail

to=
case $1 in
  --to) to=$2; shift 2;;
  --annotate) to=$(mktemp -- "$RUNNER_TEMP/annotations.XXXXXXXX"); annotate=$to; shift;;
esac
command=("$RUNNER_TEMP/gen-deploy/bin/python" -I -m generator "$@")
token=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')

code=0
printf '::stop-commands::%s\n' "$token"
if [[ -n $to ]]; then
  "${command[@]}" 2>&1 > "$to" || code=$?  # one stream: the runner reads two in any order
else
  "${command[@]}" 2>&1 || code=$?
fi
printf '\n::%s::\n' "$token"
if [[ -n ${annotate-} ]]; then
  grep -E '^::(error|warning|notice) ' "$to" || true
fi
exit "$code"
