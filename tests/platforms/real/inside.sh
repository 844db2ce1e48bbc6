#!/usr/bin/env bash
# Runs a program as the first process of podman.sh's root folder, in namespaces that end with it: processes, mounts, networks and images are gone then.
#
#   unshare --mount --pid --net --ipc --uts --fork --kill-child inside.sh FOLDER PROGRAM …
#
# The folder becomes the root by pivot_root: in a mere chroot `runc exec` would enter this machine's own files instead of the container's.
set -euo pipefail
root=$1
shift
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt # what is written goes to memory
mkdir /mnt/{written,work,root}
mount -t overlay overlay -o "lowerdir=$root,upperdir=/mnt/written,workdir=/mnt/work" /mnt/root
cd /mnt/root
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
for folder in run tmp; do mount -t tmpfs tmpfs "$folder"; done
mkdir -p var/lib/containers etc/containers etc/cdi root
mkdir run/old run/stage
mount --bind "${STAGE:?a folder that both sides see}" run/stage
ip link set lo up
printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' >etc/containers/policy.json
# runc, because crun refuses a machine with both versions of cgroups; limits that a machine of few files has.
printf '%s\n' '[containers]' 'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]' '[engine]' 'runtime = "runc"' 'cgroup_manager = "cgroupfs"' \
  'events_logger = "file"' >etc/containers/containers.conf
printf '%s\n' '[storage]' 'driver = "vfs"' 'runroot = "/run/containers"' 'graphroot = "/var/lib/containers/storage"' >etc/containers/storage.conf
pivot_root . run/old
cd /
umount -l /run/old
exec -c "$@"
