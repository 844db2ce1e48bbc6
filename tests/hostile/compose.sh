#!/usr/bin/env bash
# Finds Docker Compose v2 for the tests, or fetches it; prints the program's path on stdout, and nothing else there.
#
#   compose=$(tests/hostile/compose.sh)
#   "$compose" version
#   tests/hostile/compose.sh --here     fetches nothing
#
# It reads files only: `config` needs neither a Docker daemon nor root. Taken, in this order: COMPOSE_BIN; the plugin of the
# docker client, where it is version 2 or newer; docker-compose on PATH, likewise; what was fetched before; Debian's package of
# the suite named below, unpacked into the cache without installing anything (13 MB; apt checks its signature).
#
# Needs, to fetch   Debian, whose own mirror is asked, with apt-get and dpkg-deb
# Environment       GEN_DEPLOY_CACHE   where it is kept; default ${XDG_CACHE_HOME:-~/.cache}/gen-deploy
set -euo pipefail
exec 3>&1 1>&2
# shellcheck source=tests/hostile/suite.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/suite.sh"

readonly suite=trixie package=docker-compose
readonly inside=usr/libexec/docker/cli-plugins/docker-compose

answer() {
  printf '%s\n' "$1" >&3
  exit 0
}
die() {
  printf 'compose.sh: %s\n' "$*"
  exit 1
}
# works PROGRAM: it is Compose, version 2 or newer.
works() { [[ -x $1 && $("$1" version --short 2>/dev/null) =~ ^v?([2-9]|[1-9][0-9])\. ]]; }

if [[ -n ${COMPOSE_BIN:-} ]]; then
  works "$COMPOSE_BIN" || die "COMPOSE_BIN=$COMPOSE_BIN is not Docker Compose 2"
  answer "$COMPOSE_BIN"
fi
for place in "$HOME"/.docker /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do
  if works "$place/cli-plugins/docker-compose"; then answer "$place/cli-plugins/docker-compose"; fi
done
found=$(command -v docker-compose || true)
if [[ -n $found ]] && works "$found"; then answer "$found"; fi

readonly root=${GEN_DEPLOY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gen-deploy}/compose
readonly program=$root/$suite/$inside
if works "$program"; then answer "$program"; fi

if [[ ${1:-} == --here ]]; then die "Docker Compose 2 is not here"; fi
for tool in apt-get dpkg-deb flock; do
  command -v "$tool" >/dev/null || die "Docker Compose 2 is not here, and without $tool it is not fetched"
done
mkdir -p "$root"
exec 9>"$root/lock"
flock 9
if works "$program"; then answer "$program"; fi

work=$(mktemp -d "$root/work.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
use_suite "$work" "$suite"
(cd "$work" && apt-get --quiet --quiet download "$package")
dpkg-deb --extract "$work/$package"_*.deb "$work/entry"
works "$work/entry/$inside" || die "what was fetched does not run"
rm -rf -- "${root:?}/$suite"
mv -T -- "$work/entry" "$root/$suite"
answer "$program"
