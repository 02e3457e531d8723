# shellcheck shell=busybox
# Puts the static busybox of an image into a directory, where it appears whole under its final name:
#   sh -c SCRIPT install DIRECTORY SUFFIX

set -e
mkdir -p "$1"
cp /bin/busybox "$1/busybox.$2"
chmod 755 "$1/busybox.$2"
"$1/busybox.$2" true
mv -f "$1/busybox.$2" "$1/busybox"
