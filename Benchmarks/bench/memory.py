"""Memory, of processes and of the kernel."""
import os
import pathlib
import re

from processes import Unmeasured

# What a socket consists of in the kernel; its name in the file system is counted apart. Its place in an epoll set (about
# 200 bytes) is not counted: the kernel keeps those together with other things of their size.
SOCKET_CACHES = ["TCP", "sock_inode_cache", "filp"]


def process_bytes(pids):
    """Bytes by kind, over these processes. A page that several map counts once: each has its part of it (Pss).

    `own` is what the processes have made themselves, private or shared among them, without the executable's pages.
    """
    sums = {}
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError as error:
            raise Unmeasured(f"memory of process {pid}: {error}") from error
        for name, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE):
            sums[name] = sums.get(name, 0) + int(kilobytes) * 1024
    return {"pss": sums["Pss"], "rss": sums["Rss"], "own": sums["Pss_Anon"] + sums["Pss_Shmem"]}


def kernel_bytes():
    """What the kernel has allocated for sockets and for the data in them, in the whole machine.

    None for those who are not root: they may see the sum of all caches only, and files that anybody reads change that more
    than sockets do.
    """
    pages = int(re.search(r"^TCP:.* mem (\d+)", pathlib.Path("/proc/net/sockstat").read_text(), re.MULTILINE)[1])
    data = pages * os.sysconf("SC_PAGE_SIZE")
    try:
        text = pathlib.Path("/proc/slabinfo").read_text()
    except OSError:
        return None
    caches = {name: (int(objects), int(size))
              for name, objects, size in re.findall(r"^(\w+)\s+(\d+)\s+\d+\s+(\d+) ", text, re.MULTILINE)}
    # A socket's name is a dentry, and most of those belong to files.
    names = caches["sock_inode_cache"][0] * caches["dentry"][1]
    return data + names + sum(caches[name][0] * caches[name][1] for name in SOCKET_CACHES)
