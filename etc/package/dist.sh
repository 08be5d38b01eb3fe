#!/bin/sh
# Usage: dist.sh NAME ARCHIVE
#
# Packs these sources into ARCHIVE, a .tar.gz, with all names below NAME. What is packed is the working tree, but for
# what git ignores; in an unpacked archive, everything but what was built. The revision and its date are written into the
# archive, so that it says what it is without git, and the versions of the packages that it was built with are in it. The
# same sources give the same bytes.
set -eu
name=$1
archive=$2
here=$(dirname "$0")
revision=$(sh "$here/revision.sh" revision)
date=$(sh "$here/revision.sh" date)
cd "$here/../.."
if [ -z "$revision" ] || [ -z "$date" ]; then
    echo "dist: neither git nor an archive's Sources/CBuild/revision.h says which revision this is" >&2
    exit 1
fi

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$stage/$name"
if [ -e .git ]; then
    # A file that was removed and not committed yet is still known to git.
    { git ls-files -z --cached --others --exclude-standard && git ls-files -z --deleted; } | sort -z | uniq -zu
    # git ignores which versions of the packages were built with; who builds the archive builds with the same.
    if [ -e Package.resolved ]; then printf 'Package.resolved\0'; fi
else
    find . \( -name '.build*' -o -name __pycache__ \) -prune -o ! -type d ! -name '*.o' -print0
fi | tar -c --null --files-from=- | tar -x -C "$stage/$name"
cat >"$stage/$name/Sources/CBuild/revision.h" <<EOF
// Written by \`make dist\`: the sources that this archive was made of.
#define LIMPET_DATE $date
#ifndef LIMPET_REVISION
#define LIMPET_REVISION "$revision"
#endif
EOF
mkdir -p "$(dirname "$archive")"
(cd "$stage" && tar -c --sort=name --format=gnu --mtime="@$date" --owner=0 --group=0 --numeric-owner \
    --mode='u=rwX,go=rX' "$name") | gzip -9n >"$archive.new"
mv "$archive.new" "$archive"
