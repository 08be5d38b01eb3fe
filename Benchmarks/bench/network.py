"""A network of one's own, with nothing in it but the loopback interface."""
import contextlib
import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def own_network():
    """What is started inside has a fresh network namespace; yields whether.

    A measurement that opens many connections leaves as many in TIME_WAIT, for a minute, and the kernel keeps a limited
    number of them: the next one would find other conditions. Only root may have a namespace of his own.
    """
    with open("/proc/self/ns/net") as before:
        if libc.unshare(CLONE_NEWNET):
            yield False
            return
        try:
            with socket.socket() as any_socket:
                request = struct.pack("16sH22x", b"lo", 0)
                flags = struct.unpack("16sH22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
                fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))
            yield True
        finally:
            if libc.setns(before.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
