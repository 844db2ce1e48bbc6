# shellcheck shell=bash
# Sourced by scripts that fetch packages of another suite of Debian; nothing of the machine is changed.
#
#   use_suite FOLDER SUITE       apt-get and apt-cache see that suite alone, packages and sources, with lists and cache in FOLDER
#
# The mirror is the one that this machine's own sources name; apt checks its signature.
use_suite() {
  local place=$1 mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/\?$') || {
    echo 'the sources of apt name no mirror of Debian' >&2
    return 1
  }
  [[ -r $keys ]] || { echo "there is no $keys" >&2; return 1; }
  mkdir -p "$place/lists/partial" "$place/cache/archives/partial"
  : >"$place/status"
  printf "deb%s [signed-by=$keys] %s %s main\n" '' "$mirror" "$2" -src "$mirror" "$2" >"$place/sources.list"
  printf '%s\n' "Dir::Etc::sourcelist \"$place/sources.list\";" 'Dir::Etc::sourceparts "-";' "Dir::State::lists \"$place/lists\";" \
    "Dir::State::status \"$place/status\";" "Dir::Cache \"$place/cache\";" 'Acquire::Languages "none";' 'APT::Sandbox::User "";' \
    'APT::Install-Recommends "false";' >"$place/apt.conf"
  export APT_CONFIG=$place/apt.conf
  apt-get --quiet --quiet update
}
