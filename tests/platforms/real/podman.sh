#!/usr/bin/env bash
# Makes a root folder with Podman 5 of Debian's next suite, and prints its path: Debian 12 has 4.3, which knows no startup probe and no Quadlet.
#
#   tests/platforms/real/podman.sh            the folder; PATH/usr/libexec/podman/quadlet runs as it is
#   inside.sh FOLDER PROGRAM …                runs something in it
#
# Packages are unpacked and not installed: no maintainer's script runs. 180 MB, made once in half a minute and kept.
# Environment: GEN_DEPLOY_CACHE is where; default ${XDG_CACHE_HOME:-~/.cache}/gen-deploy
set -euo pipefail
exec 3>&1 1>&2
# shellcheck source=tests/hostile/suite.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../hostile/suite.sh"
readonly suite=trixie
readonly folder=${GEN_DEPLOY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gen-deploy}/platforms
mkdir -p "$folder"
exec 9>"$folder/podman.lock"
flock 9
if [[ ! -x $folder/$suite/usr/sbin/nft ]]; then
  work=$(mktemp -d "$folder/work.XXXXXX")
  trap 'rm -rf -- "$work"' EXIT
  use_suite "$work" "$suite"
  apt-get -qq -y --download-only install base-files podman runc conmon netavark catatonit mount nftables
  mkdir "$work/root"
  for deb in "$work"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -C "$work/root" -x --exclude=./usr/share/{doc,man,locale}
  done
  rm -rf -- "${folder:?}/$suite"
  mv -T -- "$work/root" "$folder/$suite"
fi
printf '%s\n' "$folder/$suite" >&3
