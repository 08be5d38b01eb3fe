#!/bin/sh
# Usage: reproducible.sh NAME ARCHIVE MAKE
#
# Builds the packages a second time, from the archive, in another directory, with another umask, locale and time zone, and
# compares with what was built here. Fails where anything differs.
set -eu
# shellcheck disable=SC2034
name=$1 archive=$2
make=$3
first=$PWD
here=$(dirname "$0")
# shellcheck disable=SC1091
. "$here/elsewhere.sh"
second=$PWD
(umask 077 && TZ=Asia/Kathmandu LC_ALL=C.UTF-8 USER=nobody $make deb)

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
exit $status
