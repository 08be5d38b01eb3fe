#!/bin/sh
# Usage: reproducible.sh NAME ARCHIVE MAKE
#
# Builds the package twice from the archive, in two directories, and with another umask, locale, time zone and number of
# jobs the second time. Prints what differs, and fails where anything does.
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

first=$work/one/$name
second=$work/another-directory/further/down/$name
mkdir -p "$work/one" "${second%/*}"
tar -xzf "$archive" -C "$work/one"
tar -xzf "$archive" -C "${second%/*}"
(cd "$first" && TZ=UTC LC_ALL=C $make deb)
(umask 077 && cd "$second" && TZ=Asia/Kathmandu LC_ALL=C.UTF-8 USER=nobody $make deb SWIFTFLAGS='-j 1')

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
for file in "$first"/.build-package/*.deb "$first"/.build-package/*.json; do same ".build-package/${file##*/}"; done
exit $status
