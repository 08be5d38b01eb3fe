# Sourced by distcheck.sh and reproducible.sh, with $name, $archive and $make set: unpacks the archive in a place of its own,
# unless this very archive lies there, and goes there. git is out of reach from then on.
# shellcheck shell=sh
: "${name:?}" "${archive:?}" "${make:?}"
archive=$(realpath "$archive")
place=$(realpath "${archive%/*}")/elsewhere
if ! cmp -s "$archive" "$place/archive"; then
    rm -rf "$place"
    mkdir -p "$place/bin" "$place/with/another/name"
    tar -xzf "$archive" -C "$place/with/another/name"
    cp "$archive" "$place/archive"
fi
printf '#!/bin/sh\nexit 1\n' >"$place/bin/git"
chmod 755 "$place/bin/git"
PATH=$place/bin:$PATH
# What `make` was told here is not for there.
unset MAKEFLAGS MFLAGS MAKELEVEL LIMPET_DEPENDENCIES SWIFTCI_USE_LOCAL_DEPS
cd "$place/with/another/name/$name" || exit 1
