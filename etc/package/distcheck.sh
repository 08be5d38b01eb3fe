#!/bin/sh
# Usage: distcheck.sh NAME ARCHIVE MAKE
#
# Tries the archive of the sources as somebody would who has nothing else. See `make distcheck`.
set -eu
# shellcheck disable=SC2034
name=$1 archive=$2
make=$3
here=$(dirname "$0")
# shellcheck disable=SC1091
. "$here/elsewhere.sh"
root=${place:?}/root
rm -rf "$root"

fail() {
    echo "distcheck: $*" >&2
    exit 1
}

$make lint
$make test FILTER='^(Addressing|Stickiness|Backends|Configuration|Forwarding|Continuity|Health|Observability|Engine|Control|Names|Manual)Tests[.]'
$make all
version=$(.build-release/release/limpetd --version)
test "$version" = "limpetd ${name#limpet-} ($(sh etc/package/revision.sh revision))" || fail "it calls itself $version"

# A configuration that was changed is all that stays.
$make install DESTDIR="$root" prefix=/opt/limpet
test -x "$root/opt/limpet/sbin/limpetd" || fail 'it was not installed'
left=$(grep -rIl --exclude='*.md' -e '/etc/limpet' -e '@[a-z]*dir@' "$root" | while read -r file; do
    grep -H -e '/etc/limpet' -e '@[a-z]*dir@' "$file" | grep -v '/opt/limpet/etc/limpet' || :
done)
test -z "$left" || fail "these speak of other directories: $left"
echo '# mine' >>"$root/opt/limpet/etc/limpet/limpet.toml"
$make uninstall DESTDIR="$root" prefix=/opt/limpet
left=$(cd "$root" && find . ! -type d)
test "$left" = ./opt/limpet/etc/limpet/limpet.toml || fail "uninstalled, there are: $left"
rm -rf "$root"
$make install DESTDIR="$root" prefix=/opt/limpet
$make uninstall DESTDIR="$root" prefix=/opt/limpet
left=$(find "$root" -mindepth 1)
test -z "$left" || fail "uninstalled, there are: $left"

$make dist
cmp "$archive" ".build-dist/$name.tar.gz" || fail 'packed again, it is another archive'
echo "distcheck: $name is whole"
