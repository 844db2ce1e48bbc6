#!/usr/bin/env bash
# Finds nginx for the tests, or fetches it without installing anything; prints the program's path on stdout, and nothing else there.
#
#   nginx=$(tests/render/nginx.sh)
#   tests/render/nginx.sh --here     fetches nothing
#
# Taken, in this order: NGINX_BIN; nginx on PATH or in /usr/sbin; what was fetched before; the package of this machine's own
# Debian or Ubuntu, unpacked into the cache (0.5 MB; apt checks its signature).
#
# Environment       GEN_DEPLOY_CACHE   where it is kept; default ${XDG_CACHE_HOME:-~/.cache}/gen-deploy
set -euo pipefail
exec 3>&1 1>&2

answer() {
  printf '%s\n' "$1" >&3
  exit 0
}
works() { [[ -x $1 ]] && "$1" -v 2>/dev/null; }

found=${NGINX_BIN:-$(PATH="$PATH:/usr/sbin" command -v nginx || true)}
if works "$found"; then answer "$found"; fi
readonly root=${GEN_DEPLOY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gen-deploy}/nginx
readonly program=$root/usr/sbin/nginx
if works "$program"; then answer "$program"; fi
if [[ ${1:-} == --here ]] || ! command -v apt-get dpkg-deb >/dev/null; then
  echo "nginx.sh: nginx is not here"
  exit 1
fi
mkdir -p "$root"
work=$(mktemp -d "$root/work.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
(cd "$work" && apt-get --quiet --quiet -o APT::Sandbox::User= download nginx && dpkg-deb --extract nginx_*.deb entry)
works "$work/entry/usr/sbin/nginx" || exit 1
rm -rf -- "$root/usr"
mv -T -- "$work/entry/usr" "$root/usr"
answer "$program"
