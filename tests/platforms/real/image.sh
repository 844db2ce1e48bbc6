#!/usr/bin/env bash
# Makes the file system of the stub image: Python and a shell from Debian's packages, and stub.py under the engines' names.
#
#   tests/platforms/real/image.sh FOLDER      prints the path of a tar file for `docker import` and `podman import`
#
# Needs Debian's mirrors with apt-get and dpkg-deb; nothing is installed. Kept between runs: FOLDER.
set -euo pipefail
exec 3>&1 1>&2
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
folder=$1
tar=$folder/stub-image.tar
if [[ -s $tar && $tar -nt $here/stub.py && $tar -nt $here/curl.py && $tar -nt $here/image.sh ]]; then
  printf '%s\n' "$tar" >&3
  exit 0
fi
mkdir -p "$folder/debs" "$folder/root"
cd "$folder/debs"
minor=$(apt-cache depends python3-minimal | sed -n 's/.*Depends: python3\.\([0-9]*\)-minimal.*/\1/p' | head -1)
wanted=("python3.$minor-minimal" "libpython3.$minor-minimal" "libpython3.$minor-stdlib" libc6 zlib1g libssl3 busybox-static)
expat=$(apt-cache depends "python3.$minor-minimal" | sed -n 's/.*Depends: \(libexpat[0-9a-z]*\).*/\1/p' | head -1)
for package in "${wanted[@]}" "${expat:-libexpat1}"; do
  compgen -G "${package}_*.deb" >/dev/null || apt-get download -q "$package"
done
root=$folder/root
for deb in *.deb; do dpkg-deb -x "$deb" "$root"; done
ln -sf "python3.$minor" "$root/usr/bin/python3"
mkdir -p "$root"/{tmp,root,proc,sys,dev,etc,usr/local/bin}
busybox=$(find "$root" -path "*/bin/busybox" -type f | head -1)
mkdir -p "$root/bin"
for name in sh sleep cat; do ln -sf "${busybox#"$root"}" "$root/bin/$name"; done
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
for name in vllm sglang llama-server trtllm-serve ollama text-generation-launcher; do
  install -m 755 "$here/stub.py" "$root/usr/local/bin/$name"
done
install -D -m 644 "$here/stub.py" "$root/usr/lib/python3/dist-packages/sglang/launch_server.py" # python3 -m sglang.launch_server
mkdir -p "$root/app" && ln -sf /usr/local/bin/llama-server "$root/app/llama-server"
install -m 755 "$here/curl.py" "$root/usr/local/bin/curl"
rm -rf "$root"/usr/share/{doc,man}
tar -C "$root" -cf "$tar" .
printf '%s\n' "$tar" >&3
