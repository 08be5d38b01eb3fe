#!/bin/sh
# Usage: reproducible.sh NAME ARCHIVE MAKE
#
# Builds the package a second time, from the archive, in another directory, all of it anew, with another umask, locale and
# time zone, and compares with what was built here. Fails where anything differs, and leaves what it has built.
set -eu
name=$1
archive=$(realpath "$2")
make=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
GIT_CEILING_DIRECTORIES=$work
export GIT_CEILING_DIRECTORIES
unset MAKEFLAGS MFLAGS MAKELEVEL

first=$PWD
second=$work/another-directory/further/down/$name
mkdir -p "${second%/*}"
tar -xzf "$archive" -C "${second%/*}"
(umask 077 && cd "$second" && TZ=Asia/Kathmandu LC_ALL=C.UTF-8 USER=nobody $make deb)

status=0
same() {
    if cmp "$first/$1" "$second/$1"; then
        echo "$(sha256sum "$first/$1" | cut -c 1-64)  ${1##*/}"
    else
        status=1
    fi
}
same .build-release/release/limpetd
same .build-release/release/limpetctl
for file in "$second"/.build-package/*.deb "$second"/.build-package/*.json; do same ".build-package/${file##*/}"; done
if [ "$status" -ne 0 ]; then
    trap - EXIT
    echo "reproducible: not the same as in $second" >&2
fi
exit $status
