#!/bin/sh
# Usage: revision.sh revision|date
#
# What these sources are. revision: the commit, abbreviated, with "-modified" where something was changed since. date:
# its time, in seconds since 1970; it is the time of everything that is packed. In a source archive both stand in a
# file that `make dist` has written. Prints nothing where neither is known: no git, or one that does not trust the owner
# of the directory.
set -u
cd "$(dirname "$0")/../.." || exit 1
archived=Sources/CBuild/revision.h

case ${1-} in
revision)
    if [ -e .git ]; then
        commit=$(git rev-parse --short=12 HEAD 2>/dev/null) || exit 0
        if [ -n "$(git status --porcelain 2>/dev/null)" ]; then commit=$commit-modified; fi
        echo "$commit"
    elif [ -e $archived ]; then
        sed -n 's/^#define LIMPET_REVISION "\(.*\)"$/\1/p' $archived
    fi
    ;;
date)
    if [ -e .git ]; then
        git log -1 --format=%ct 2>/dev/null || :
    elif [ -e $archived ]; then
        sed -n 's/^#define LIMPET_DATE \([0-9]*\)$/\1/p' $archived
    fi
    ;;
*)
    echo "usage: revision.sh revision|date" >&2
    exit 2
    ;;
esac
