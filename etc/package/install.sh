#!/bin/sh
# Usage: install.sh install|uninstall
#
# What `make install` puts where: one list, which both ways follow. The Makefile gives the directories, DESTDIR, the
# commands that install, BIN (where the programs were built) and WORK (a directory for files on their way).
#
# Nothing is written outside DESTDIR, no service is started or stopped, and a configuration that is there stays.
set -eu
: "${BIN:?}" "${WORK:?}" "${DESTDIR?}" "${prefix?}" "${bindir:?}" "${sbindir:?}" "${libdir:?}" "${sysconfdir:?}"
: "${runstatedir:?}" "${localstatedir:?}" "${mandir:?}" "${docdir:?}" "${unitdir:?}" "${sysusersdir:?}"
: "${tmpfilesdir:?}" "${bashcompdir:?}" "${zshcompdir:?}" "${fishcompdir:?}"

each_file() {
    program "$BIN/limpetd" "$sbindir/limpetd"
    program "$BIN/limpetctl" "$sbindir/limpetctl"
    for page in man/*.[1-9]; do text "$page" "$mandir/man${page##*.}/${page##*/}"; done
    for unit in etc/systemd/*.service* etc/systemd/*.socket*; do
        if [ -e "$unit" ]; then text "$unit" "$unitdir/$(installed_name "$unit")"; fi
    done
    for file in etc/sysusers.d/*.conf*; do
        if [ -e "$file" ]; then text "$file" "$sysusersdir/$(installed_name "$file")"; fi
    done
    for file in etc/tmpfiles.d/*.conf*; do
        if [ -e "$file" ]; then text "$file" "$tmpfilesdir/$(installed_name "$file")"; fi
    done
    for command in limpetd limpetctl; do
        completion "$command" bash "$bashcompdir/$command"
        completion "$command" zsh "$zshcompdir/_$command"
        completion "$command" fish "$fishcompdir/$command.fish"
    done
    text etc/limpet.toml "$docdir/examples/limpet.toml"
    for file in etc/examples/*; do
        if [ -f "$file" ]; then text "$file" "$docdir/examples/$(installed_name "$file")"; fi
    done
    for file in README.md CHANGELOG.md SECURITY.md LICENSE docs/third-party.md docs/security.md; do
        if [ -e "$file" ]; then text "$file" "$docdir/${file##*/}"; fi
    done
    configuration etc/limpet.toml "$sysconfdir/limpet/limpet.toml"
}

installed_name() {
    name=${1##*/}
    echo "${name%.in}"
}

# The pages, the example and the programs speak of /etc, /run and /var until they are told otherwise, so that they can
# be read and tried where they lie; files whose name ends in .in also have names of directories to be filled in.
substituted() {
    case $1 in
    man/* | etc/*)
        sed -e "s|/etc/limpet|$sysconfdir/limpet|g" -e "s|/run/limpet|$runstatedir/limpet|g" \
            -e "s|/var/lib/limpet|$localstatedir/lib/limpet|g" \
            -e "s|@prefix@|$prefix|g" -e "s|@bindir@|$bindir|g" -e "s|@sbindir@|$sbindir|g" \
            -e "s|@libdir@|$libdir|g" -e "s|@sysconfdir@|$sysconfdir|g" -e "s|@runstatedir@|$runstatedir|g" \
            -e "s|@localstatedir@|$localstatedir|g" -e "s|@docdir@|$docdir|g" -e "s|@mandir@|$mandir|g" "$1"
        ;;
    *) cat "$1" ;;
    esac
}

directory() {
    if [ ! -d "$DESTDIR$1" ]; then $INSTALL -d "$DESTDIR$1"; fi
}

install_files() {
    program() {
        directory "${2%/*}"
        $INSTALL_PROGRAM "$1" "$DESTDIR$2"
    }
    text() {
        directory "${2%/*}"
        substituted "$1" >"$WORK/installed"
        if grep -n '@[a-z]*dir@' "$WORK/installed"; then
            echo "$1: no such directory is known to etc/package/install.sh" >&2
            exit 1
        fi
        $INSTALL_DATA "$WORK/installed" "$DESTDIR$2"
    }
    completion() {
        directory "${3%/*}"
        "$BIN/$1" --generate-completion-script "$2" >"$WORK/completion"
        # It is sourced and not executed.
        sed '1{/^#!/d;}' "$WORK/completion" >"$WORK/installed"
        $INSTALL_DATA "$WORK/installed" "$DESTDIR$3"
    }
    configuration() {
        if [ ! -e "$DESTDIR$2" ]; then text "$1" "$2"; fi
    }
    each_file
    rm -f "$WORK/installed" "$WORK/completion"
}

# A configuration that somebody has changed is theirs: it stays, alone. Directories go when they are empty: those that
# are Limpet's own, and below a DESTDIR all.
uninstall_files() {
    program() { remove "$2"; }
    text() { remove "$2"; }
    completion() { remove "$3"; }
    configuration() {
        if substituted "$1" | cmp -s - "$DESTDIR$2"; then remove "$2"; fi
        rmdir "$DESTDIR${2%/*}" 2>/dev/null || :
    }
    remove() {
        rm -f "$DESTDIR$1"
        if [ -n "$DESTDIR" ]; then prune "${1%/*}"; fi
    }
    prune() { (cd "$DESTDIR" 2>/dev/null && rmdir -p ".$1" 2>/dev/null) || :; }
    each_file
    rmdir "$DESTDIR$docdir/examples" 2>/dev/null || :
    rmdir "$DESTDIR$docdir" 2>/dev/null || :
    if [ -n "$DESTDIR" ]; then
        prune "$docdir"
        prune "$sysconfdir"
    fi
}

case ${1-} in
install) install_files ;;
uninstall) uninstall_files ;;
*)
    echo "usage: install.sh install|uninstall" >&2
    exit 2
    ;;
esac
