#!/bin/sh
# Usage: distcheck.sh NAME ARCHIVE MAKE
#
# Tries the archive of the sources as somebody would who has nothing else. See `make distcheck`.
set -eu
name=$1
archive=$(realpath "$2")
make=$3
# Elsewhere, or a file that is missing in the archive could be found in the tree that it was made of.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# Nor may a repository around it say what these sources are.
GIT_CEILING_DIRECTORIES=$work
export GIT_CEILING_DIRECTORIES
unset MAKEFLAGS MFLAGS MAKELEVEL

fail() {
    echo "distcheck: $*" >&2
    exit 1
}

tar -xzf "$archive" -C "$work"
cd "$work/$name"
$make lint
$make test FILTER='^(Addressing|Stickiness|Backends|Configuration|Forwarding|Continuity|Health|Observability|Engine|Control|Names|Manual)Tests[.]'
$make all
version=$(.build-release/release/limpetd --version)
test "$version" = "limpetd ${name#limpet-} ($(sh etc/package/revision.sh revision))" || fail "it calls itself $version"

# A configuration that was changed is all that stays.
$make install DESTDIR="$work/root" prefix=/opt/limpet
test -x "$work/root/opt/limpet/sbin/limpetd" || fail 'it was not installed'
left=$(grep -rIl -e '/etc/limpet' -e '@[a-z]*dir@' "$work/root" | while read -r file; do
    grep -H -e '/etc/limpet' -e '@[a-z]*dir@' "$file" | grep -v '/opt/limpet/etc/limpet' || :
done)
test -z "$left" || fail "these speak of other directories: $left"
echo '# mine' >>"$work/root/opt/limpet/etc/limpet/limpet.toml"
$make uninstall DESTDIR="$work/root" prefix=/opt/limpet
left=$(cd "$work/root" && find . ! -type d)
test "$left" = ./opt/limpet/etc/limpet/limpet.toml || fail "uninstalled, there are: $left"
rm -rf "$work/root"
$make install DESTDIR="$work/root" prefix=/opt/limpet
$make uninstall DESTDIR="$work/root" prefix=/opt/limpet
left=$(find "$work/root" -mindepth 1)
test -z "$left" || fail "uninstalled, there are: $left"

$make dist
cmp "$archive" ".build-dist/$name.tar.gz" || fail 'packed again, it is another archive'
echo "distcheck: $name is whole"
