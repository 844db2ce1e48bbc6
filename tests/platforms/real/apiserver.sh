#!/usr/bin/env bash
# Makes a real Kubernetes API server from Debian's source package, and prints the folder that holds kube-apiserver and etcd.
#
#   tests/platforms/real/apiserver.sh            builds it once: seven minutes on two cores, 3 GB while it is built, 130 MB kept
#   tests/platforms/real/apiserver.sh --here     builds nothing
#
# Kubernetes 1.20: the newest that Debian has as a whole source. It has no policy/v1, no autoscaling/v2 and no CEL.
# Packages are unpacked and not installed. Environment: GEN_DEPLOY_CACHE is where; default ${XDG_CACHE_HOME:-~/.cache}/gen-deploy
set -euo pipefail
exec 3>&1 1>&2
# shellcheck source=tests/hostile/suite.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../hostile/suite.sh"
readonly suite=bookworm go=1.19
readonly folder=${GEN_DEPLOY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gen-deploy}/platforms/apiserver
if [[ ! -x $folder/kube-apiserver && ${1:-} == --here ]]; then
  echo 'the API server is not built'
  exit 1
fi
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
if [[ ! -x $folder/kube-apiserver ]]; then
  work=$(mktemp -d "$folder/work.XXXXXX")
  trap 'rm -rf -- "$work"' EXIT
  use_suite "$work" "$suite"
  cd "$work"
  apt-get -qq download "golang-$go-go" "golang-$go-src" etcd-server
  for deb in *.deb; do dpkg-deb -x "$deb" tools; done
  apt-get -qq --download-only source kubernetes
  version=$(echo kubernetes_*.dsc | sed 's/.*really\([0-9.]*\)-.*/\1/')
  source=$work/gopath/src/k8s.io/kubernetes
  mkdir -p "$source"
  tar -C "$source" --strip-components=1 -xf kubernetes_*.orig.tar.gz
  export GOROOT=$work/tools/usr/lib/go-$go GOPATH=$work/gopath GO111MODULE=off CGO_ENABLED=0 GOCACHE=$work/cache/go GOTMPDIR=$work PATH=$work/tools/usr/lib/go-$go/bin:$PATH
  cd "$source"
  # The schemas that `kubectl` asks the server for are the one thing that the source package does not bring.
  go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
  tagged=$({
    grep -rl --include='*.go' '+k8s:openapi-gen=' pkg cmd plugin
    cd staging/src && grep -rl --include='*.go' '+k8s:openapi-gen=' k8s.io | sed 's|^|vendor/|'
  } | grep -v -e '^vendor/k8s.io/\(code-generator\|sample-apiserver\)/' -e '_test\.go$' | xargs -n1 dirname | LC_ALL=C sort -u | sed 's|^|k8s.io/kubernetes/|' | paste -sd,)
  "$work/openapi-gen" --logtostderr -i "$tagged" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$work/violations"
  set_to=k8s.io/component-base/version
  go build -ldflags "-s -w -X $set_to.gitVersion=v$version -X $set_to.gitMajor=${version%%.*} -X $set_to.gitMinor=$(cut -d. -f2 <<<"$version")" \
    -o "$work/kube-apiserver" ./cmd/kube-apiserver
  mv "$work/tools/usr/bin/etcd" "$folder/"
  mv "$work/kube-apiserver" "$folder/"
fi
printf '%s\n' "$folder" >&3
