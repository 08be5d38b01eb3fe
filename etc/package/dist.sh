#!/bin/sh
# Usage: dist.sh NAME ARCHIVE CHECKOUTS
#
# Packs these sources into ARCHIVE, a .tar.gz, with all names below NAME. What is packed is the working tree, but for
# what git ignores; in an unpacked archive, everything but what was built. The revision and its date are written into the
# archive, so that it says what it is without git. The sources of the Swift packages, as they lie in CHECKOUTS, become
# Dependencies, so that it is built without git and without a network, from what it was tested with. The same sources
# give the same bytes.
set -eu
name=$1
archive=$2
checkouts=$3
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
else
    find . \( -name '.build*' -o -name __pycache__ \) -prune -o ! -type d ! -name '*.o' ! -path ./Package.resolved -print0
fi | tar -c --null --files-from=- | tar -x -C "$stage/$name"
if [ -e .git ]; then
    mkdir "$stage/$name/Dependencies"
    # Without what is not built.
    tar -c -C "$checkouts" --exclude='.git*' --exclude='*/Tests' --exclude='*/IntegrationTests' --exclude='*/Benchmarks' \
        --exclude='*/Snippets' --exclude='*/Examples' --exclude='*/Documentation' --exclude='*/docs' --exclude='*/Xcode' \
        --exclude='*/Proposals' --exclude='*/dev' --exclude='*/scripts' . | tar -x -C "$stage/$name/Dependencies"
    cp Package.resolved "$stage/$name/Dependencies/Package.resolved"
fi
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
