"""What a proxy takes while it does nothing, how long it takes to start, and what its choice of a backend costs."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from memory import kernel_bytes, process_bytes
from processes import Cast, Unmeasured
from workloads import BACKENDS, SOURCES, Workload, plural


class Idle(Workload):
    """Connections that have carried one byte each way, and wait."""

    def __init__(self, connections):
        super().__init__(f"idle{connections}", plural(connections, "idle connection"))
        self.connections = connections

    def measure(self, bench, proxy, workers):
        with Cast(bench.programs) as cast:
            _, backends = cast.serve("echo-server", BACKENDS)
            process, addresses = proxy.start(cast, workers, {"echo": backends})
            pids = process.family() if process else []
            settle()
            before = {"user_bytes": process_bytes(pids)["own"] if pids else None, "kernel_bytes": kernel_bytes()}
            holder = cast.client("idle", addresses["echo"], "--connections", self.connections, "--sources", SOURCES)
            holder.answer(60)
            settle()
            after = {"user_bytes": process_bytes(pids)["own"] if pids else None, "kernel_bytes": kernel_bytes()}
            return {name: (after[name] - value) / self.connections for name, value in before.items() if value is not None}


def settle():
    """Leaves time for what is freed with a delay (RCU), and for a proxy's own housekeeping."""
    time.sleep(0.3)


class Start(Workload):
    """From the exec to the first answer through it; what it takes then, and on the disk."""

    scales = True
    is_direct = False

    def __init__(self):
        super().__init__("start", "start")

    def measure(self, bench, proxy, workers):
        with Cast(bench.programs) as cast:
            _, backends = cast.serve("echo-server", BACKENDS)
            process, _ = proxy.start(cast, workers, {"echo": backends})
            # It has answered once: that is how its start is waited for.
            seconds = time.monotonic() - process.begun
            settle()
            memory = process_bytes(process.family())
            return {"start_ms": seconds * 1e3, "pss_mb": memory["pss"] / 1e6, "rss_mb": memory["rss"] / 1e6,
                    "processes": len(process.family()), **sizes(proxy.files())}


def sizes(files):
    figures = {"file_mb": sum(map(os.path.getsize, files)) / 1e6}
    if shutil.which("strip"):
        with tempfile.TemporaryDirectory() as directory:
            stripped = [pathlib.Path(directory, str(number)) for number in range(len(files))]
            for file, copy in zip(files, stripped):
                subprocess.run(["strip", "-o", copy, file], check=True)
            figures["stripped_mb"] = sum(map(os.path.getsize, stripped)) / 1e6
    return figures


class HashPick(Workload):
    """limpetd's choice of a backend alone, without a connection: the product's own module in a loop."""

    only = ["limpetd"]

    def __init__(self):
        super().__init__("hashpick", "choice of a backend by the hash of the client's address")

    def measure(self, bench, proxy, workers):
        with Cast(bench.programs) as cast:
            if not bench.hashpick or not os.access(bench.hashpick, os.X_OK):
                raise Unmeasured("limpet-hashpick is not built")
            answer = cast.start([bench.hashpick], "hashpick").answer(60)
            return {f"pick{count}_us": value / 1e3 for count, value in answer["ns_per_pick"].items()}
