#!/bin/sh
# Usage: facts.sh FILE
#
# Writes what the build is to say of itself (see CBuild) to FILE, as shell variables, from VERSION, RUNSTATEDIR and
# LOCALSTATEDIR in the environment and the revision of the sources. FILE keeps its time where nothing has changed, so
# that what depends on it is not built again.
set -eu
file=$1
revision=$(sh "$(dirname "$0")/revision.sh" revision)
# An installation as root does not build anew because git does not answer root.
if [ -z "$revision" ] && [ -e "$file" ]; then
    revision=$(sed -n "s/^LIMPET_REVISION='\(.*\)'\$/\1/p" "$file")
fi
for value in "$VERSION" "$revision" "$RUNSTATEDIR" "$LOCALSTATEDIR"; do
    case $value in
    *[!A-Za-z0-9./_~+-]*)
        echo "$value: only letters, digits and . / _ ~ + - can be in a version or in a directory of the daemon's" >&2
        exit 1
        ;;
    esac
done
cat >"$file.new" <<EOF
LIMPET_VERSION='$VERSION'
LIMPET_REVISION='$revision'
LIMPET_RUNSTATEDIR='$RUNSTATEDIR'
LIMPET_LOCALSTATEDIR='$LOCALSTATEDIR'
EOF
if cmp -s "$file.new" "$file"; then rm -f "$file.new"; else mv "$file.new" "$file"; fi
