"""Executes a command under the system-call filters of a unit, where no systemd runs that would do it.

    systemd_filter.py UNIT COMMAND [ARGUMENT]...

What the unit's SystemCallFilter= allows is reckoned as systemd.exec(5) has it, from the sets that `systemd-analyze
syscall-filter` prints; RestrictAddressFamilies=, RestrictNamespaces=, MemoryDenyWriteExecute= and SystemCallArchitectures=
become filters of their own, as systemd makes them, by way of the libseccomp that it is linked with. no_new_privs is set.
"""

import ctypes
import ctypes.util
import errno
import os
import socket
import subprocess
import sys

ALLOW = 0x7FFF0000
EQUAL, MASKED = 4, 7
CLONE_NAMESPACES = {
    "ipc": 0x08000000, "net": 0x40000000, "mnt": 0x00020000, "pid": 0x20000000, "user": 0x10000000,
    "uts": 0x04000000, "cgroup": 0x02000000,
}
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


library = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2", use_errno=True)
library.seccomp_init.restype = ctypes.c_void_p
library.seccomp_init.argtypes = [ctypes.c_uint32]
library.seccomp_load.argtypes = [ctypes.c_void_p]
library.seccomp_release.argtypes = [ctypes.c_void_p]
library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
library.seccomp_rule_add_exact_array.argtypes = [
    ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)]


def refuse(number):
    return 0x00050000 | number


class Filter:
    """One filter of this architecture; any other's calls end the process."""

    def __init__(self, action):
        self.handle = library.seccomp_init(action)

    def add(self, action, name, *comparisons):
        number = library.seccomp_syscall_resolve_name(name.encode())
        # Of another architecture, or of a later kernel.
        if number < 0:
            return
        array = (Comparison * max(1, len(comparisons)))(*comparisons)
        result = library.seccomp_rule_add_exact_array(self.handle, action, number, len(comparisons), array)
        if result not in (0, -errno.EEXIST):
            sys.exit(f"systemd_filter: {name}: {os.strerror(-result)}")

    def load(self):
        result = library.seccomp_load(self.handle)
        if result != 0:
            sys.exit(f"systemd_filter: cannot load a filter: {os.strerror(-result)}")
        library.seccomp_release(self.handle)


def settings(path):
    found = {}
    for line in open(path, encoding="utf-8"):
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def members(name, seen=()):
    """The calls of a set, or the call itself."""
    if not name.startswith("@"):
        return {name.split(":")[0]}
    if name in seen:
        return set()
    text = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter", name], check=True, capture_output=True, text=True).stdout
    lines = [line.strip() for line in text.splitlines()[1:]]
    calls = set()
    for line in lines:
        if line and not line.startswith("#"):
            calls |= members(line, (*seen, name))
    return calls


def allowed(lines):
    """The list of a unit whose first word is what it allows."""
    calls = members("@default")
    for line in lines:
        takes_away = line.startswith("~")
        for word in line.lstrip("~").split():
            calls = calls - members(word) if takes_away else calls | members(word)
    return calls


def filters(unit):
    calls = Filter(refuse(errno.EPERM))
    for name in sorted(allowed(unit["SystemCallFilter"])):
        calls.add(ALLOW, name)
    yield calls

    families = {getattr(socket, name) for name in unit["RestrictAddressFamilies"][0].split()}
    sockets = Filter(ALLOW)
    for family in set(range(46)) - families:
        sockets.add(refuse(errno.EAFNOSUPPORT), "socket", Comparison(0, EQUAL, family, 0))
    yield sockets

    if unit.get("RestrictNamespaces") == ["yes"]:
        spaces = Filter(ALLOW)
        spaces.add(refuse(errno.ENOSYS), "clone3")
        for flag in CLONE_NAMESPACES.values():
            for call in ("unshare", "clone"):
                spaces.add(refuse(errno.EPERM), call, Comparison(0, MASKED, flag, flag))
            spaces.add(refuse(errno.EPERM), "setns", Comparison(1, MASKED, flag, flag))
        yield spaces

    if unit.get("MemoryDenyWriteExecute") == ["yes"]:
        memory = Filter(ALLOW)
        both = PROT_WRITE | PROT_EXEC
        memory.add(refuse(errno.EPERM), "mmap", Comparison(2, MASKED, both, both))
        for call in ("mprotect", "pkey_mprotect"):
            memory.add(refuse(errno.EPERM), call, Comparison(2, MASKED, PROT_EXEC, PROT_EXEC))
        memory.add(refuse(errno.EPERM), "shmat", Comparison(2, MASKED, SHM_EXEC, SHM_EXEC))
        yield memory


def main():
    unit, command = sys.argv[1], sys.argv[2:]
    ready = list(filters(settings(unit)))
    ctypes.CDLL(None, use_errno=True).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    for one in reversed(ready):
        one.load()
    os.execvp(command[0], command)


main()
