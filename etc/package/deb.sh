#!/bin/sh
# Usage: deb.sh PACKAGE
#
# Makes a Debian package of what was installed into STAGE, for ARCHITECTURE, as VERSION, by MAINTAINER, with SBOM beside
# the documentation; and one with the symbols of limpetd, limpet-dbgsym, which tells what the addresses mean that the log
# has of a death. Every file bears the time of the revision, so that the same programs give the same packages.
set -eu
package=$1
symbols=$(echo "$package" | sed 's|/limpet_\([^/]*\)$|/limpet-dbgsym_\1|')
here=$(dirname "$0")/debian
SOURCE_DATE_EPOCH=$(sh "$(dirname "$0")/revision.sh" date)
export SOURCE_DATE_EPOCH
if [ -z "$SOURCE_DATE_EPOCH" ]; then
    echo "deb: neither git nor an archive's Sources/CBuild/revision.h says of when these sources are" >&2
    exit 1
fi
doc=$STAGE/usr/share/doc/limpet
umask 022

# install_file MODE SOURCE TARGET
install_file() {
    mkdir -p "$(dirname "$STAGE$3")"
    cp "$2" "$STAGE$3"
    chmod "$1" "$STAGE$3"
}

# pack DIRECTORY PACKAGE
pack() {
    find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    chmod -R u=rwX,go=rX "$1"
    dpkg-deb --root-owner-group -Zxz --threads-max=1 --build "$1" "$2" >/dev/null
}

# In KiB, as dpkg counts: files rounded up, and one for anything else.
size_of() {
    find "$1" -path "$1/DEBIAN" -prune -o -type f -printf '%s\n' -o -printf '1\n' |
        awk '{ sum += int(($1 + 1023) / 1024) } END { print sum }'
}

# ---- The symbols ----

debug=$STAGE-dbgsym
rm -rf "$debug"
identity=$(readelf -n "$STAGE/usr/sbin/limpetd" | sed -n 's/^ *Build ID: //p')
file=$debug/usr/lib/debug/.build-id/$(echo "$identity" | sed 's|^..|&/|').debug
mkdir -p "$debug/DEBIAN" "${file%/*}" "$debug/usr/share/doc"
objcopy --only-keep-debug --compress-debug-sections "$STAGE/usr/sbin/limpetd" "$file"
chmod 644 "$file"
ln -s limpet "$debug/usr/share/doc/limpet-dbgsym"
cat >"$debug/DEBIAN/control" <<EOF
Package: limpet-dbgsym
Version: $VERSION
Auto-Built-Package: debug-symbols
Architecture: $ARCHITECTURE
Maintainer: $MAINTAINER
Installed-Size: $(size_of "$debug")
Depends: limpet (= $VERSION)
Section: debug
Priority: optional
Build-Ids: $identity
Description: debug symbols for limpet
EOF
(cd "$debug" && find usr -type f -exec md5sum {} +) >"$debug/DEBIAN/md5sums"
pack "$debug" "$symbols"

# ---- The files, as Debian wants them ----

"${STRIP:-strip}" --remove-section=.comment --remove-section=.note "$STAGE/usr/sbin/limpetd" "$STAGE/usr/sbin/limpetctl"
find "$STAGE/usr/share/man" -type f -exec gzip -9n {} +
rm -f "$doc/LICENSE"
mv "$doc/CHANGELOG.md" "$doc/changelog"
gzip -9n "$doc/changelog"
install_file 644 "$here/copyright" /usr/share/doc/limpet/copyright
install_file 644 "$here/README.Debian" /usr/share/doc/limpet/README.Debian
install_file 644 "$SBOM" /usr/share/doc/limpet/limpet.spdx.json
install_file 644 "$here/lintian-overrides" /usr/share/lintian/overrides/limpet
install_file 644 "$here/needrestart.conf" /etc/needrestart/conf.d/limpet.conf
cat <<EOF | gzip -9n >"$doc/changelog.Debian.gz"
limpet ($VERSION) unstable; urgency=medium

  * Built from the sources of this version; changelog.gz says what is new.

 -- $MAINTAINER  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
EOF

# ---- What dpkg is told ----

control=$STAGE/DEBIAN
mkdir -p "$control"
find "$STAGE/etc" -type f | sed "s|^$STAGE||" | LC_ALL=C sort >"$control/conffiles"
for script in postinst prerm postrm; do install_file 755 "$here/$script" "/DEBIAN/$script"; done
(cd "$STAGE" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' | sed 's|^\./||' | LC_ALL=C sort |
    xargs -d '\n' md5sum) >"$control/md5sums"

# What the programs are linked with, with the oldest versions that have what is used of them; it may be these four alone.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/debian"
printf 'Source: limpet\n\nPackage: limpet\nArchitecture: any\n' >"$work/debian/control"
cp "$STAGE/usr/sbin/limpetd" "$STAGE/usr/sbin/limpetctl" "$work"
depends=$(cd "$work" && dpkg-shlibdeps -O limpetd limpetctl | sed -n 's/^shlibs:Depends=//p')
for dependency in $(echo "$depends" | sed 's/([^)]*)//g; s/,/ /g'); do
    case $dependency in
    libc6 | libstdc++6 | libgcc-s1 | libcap2) ;;
    *)
        echo "deb: the programs are linked with $dependency, which a machine need not have" >&2
        exit 1
        ;;
    esac
done

sed -e "s|@VERSION@|$VERSION|" -e "s|@ARCHITECTURE@|$ARCHITECTURE|" -e "s|@MAINTAINER@|$MAINTAINER|" \
    -e "s|@SIZE@|$(size_of "$STAGE")|" -e "s|@DEPENDS@|$depends|" "$here/control" >"$control/control"

pack "$STAGE" "$package"
