"""CPU time, of processes and of the whole machine."""
import os
import pathlib
import time

TICK = os.sysconf("SC_CLK_TCK")
PROCESSORS = len([line for line in pathlib.Path("/proc/stat").read_text().split("\n") if line[:3] == "cpu" and
                  line[3:4].isdigit()])
# How long things are left alone before CPU times are read: buffers fill, closed connections are cleared away.
QUIET = 0.03


def process_seconds(pids):
    """CPU seconds that these processes have used, all threads, user and kernel.

    From schedstat, which has the scheduler's own nanoseconds. utime and stime in stat are the same, divided into two by
    samples and rounded to ticks of 10 ms: too coarse for a short measurement. What schedstat lacks is threads that have
    ended; none of these programs ends one while it works.

    The kernel's part for the network is in it: on loopback a packet is received in the time of whoever sends it. (Not so
    with kernels that account interrupts apart, CONFIG_IRQ_TIME_ACCOUNTING, which book that to no process.)
    """
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except OSError:
                pass
    return total / 1e9


def system_seconds():
    """CPU seconds that all processors have worked since some fixed time.

    As time passed less time idle: the kernel knows idle time exactly, while user, system and softirq in /proc/stat are
    counted by samples, one per tick, and miss what runs briefly. Time that the hypervisor took away is not work.
    """
    with open("/proc/stat") as file:
        fields = list(map(int, file.readline().split()[1:]))
        passed = time.monotonic()
    idle, waiting, stolen = fields[3], fields[4], fields[7]
    return passed * PROCESSORS - (idle + waiting + stolen) / TICK


class Meter:
    """What the named groups of processes use between `begin` and `end`, and the machine as a whole."""

    def __init__(self, groups):
        self.groups = groups

    def begin(self):
        time.sleep(QUIET)
        self.before = {name: process_seconds(pids) for name, pids in self.groups.items()}
        self.system = system_seconds()

    def end(self):
        time.sleep(QUIET)
        system = system_seconds() - self.system
        used = {name: process_seconds(pids) - self.before[name] for name, pids in self.groups.items()}
        return {**used, "system": system}
