#!/usr/bin/env python3
"""What a death or an upgrade of limpetd costs its clients.

    continuity.py BIN [--connections 1000,4000,9000] [--times 15]

BIN holds limpetd, limpetctl and limpet-checker, built for release. For each number of connections, all of which ask and
answer in turn, the engine is killed and the daemon upgraded to its own executable so many times. Measured from outside:

    kill -> serving   from SIGKILL to the first answer on a connection that was begun right after it
    gap               the longest time between any client's question and its answer around the event

and as limpetd itself says: from the death to the workers' return; from parking the workers to their return.
The daemon is started anew after two deaths, because it holds the third one's successor back.
"""
import argparse
import contextlib
import math
import os
import pathlib
import re
import signal
import socket
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Mutations"))
from stage import Checker, Daemon, wait_for  # noqa: E402

# Questions per second over all connections, so that some are always on their way.
RATE = 8000
# Connections that come and go meanwhile, per second.
CHURN = 20
SETTLE = 0.4


def echo_server():
    """An echo server in a process of its own: its port, and its process id."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    pid = os.fork()
    if pid:
        listener.close()
        return port, pid
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    while True:
        peer, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with peer, contextlib.suppress(ConnectionError):
            # Checks of its health end with RST.
            while data := peer.recv(64):
                peer.sendall(data)


def probe(address):
    """Seconds from now to the first answer on a new connection."""
    host, port = address.rsplit(":", 1)
    begun = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(b"x")
        client.recv(1)
    return time.monotonic() - begun


class Figures:
    def __init__(self):
        self.columns = {}

    def add(self, name, milliseconds):
        if milliseconds is not None:
            self.columns.setdefault(name, []).append(milliseconds)

    def cell(self, name, times):
        values = self.columns.get(name, [])[:times]
        return f"{statistics.median(values):6.1f} ({max(values):5.1f})" if values else "-"


def kill_once(daemon, checker, figures):
    resumed = len(pauses(daemon))
    checker.mark()
    engine = wait_for("there is an engine", daemon.engine)
    os.kill(engine, signal.SIGKILL)
    figures.add("kill", probe(daemon.addresses[1]) * 1000)
    wait_for("the next engine says that it serves", lambda: len(pauses(daemon)) > resumed)
    figures.add("kill own", pauses(daemon)[-1])
    time.sleep(SETTLE)
    figures.add("kill gap", checker.mark())


def pauses(daemon):
    """What the daemon has logged of its deaths: ms from each to the return of its workers."""
    return [float(pause) for pause in re.findall(r"serving again .*pause_ms=([\d.]+)", daemon.said())]


def upgrade_once(daemon, checker, figures):
    checker.mark()
    answer = daemon.ask("upgrade")
    time.sleep(SETTLE)
    figures.add("upgrade gap", checker.mark())
    figures.add("upgrade own", answer["pause_ms"])


def measure(directory, connections, times, echo):
    figures = Figures()
    for _ in range(math.ceil(times / 2)):
        checker = Checker(directory, ["--talk", str(connections), "--bulk", "0", "--slow", "0", "--churn", str(CHURN),
                                      "--rate", str(RATE)])
        daemon = None
        try:
            daemon = Daemon(directory, {"load": checker.backends, "probe": [f"127.0.0.1:{echo}"]})
            checker.start(daemon.addresses[:1])
            time.sleep(SETTLE)
            for _ in range(2):
                kill_once(daemon, checker, figures)
                upgrade_once(daemon, checker, figures)
            verdict = checker.finish()
            if verdict is None or verdict["verdict"] != "pass":
                sys.exit(f"continuity: something was lost: {verdict}\n{checker.said()}{daemon.said()}")
        finally:
            checker.close()
            if daemon:
                daemon.close()
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bin")
    parser.add_argument("--connections", default="1000,4000,9000")
    parser.add_argument("--times", type=int, default=15)
    options = parser.parse_args()
    print(f"{' '.join(sys.argv)}\nmilliseconds, median (maximum) of {options.times}\n")
    print(f"{'connections':>11} | {'kill -> serving':>15} | {'as it says':>15} | {'gap':>15} | "
          f"{'upgrade pause':>15} | {'gap':>15}")
    port, echo = echo_server()
    try:
        for connections in map(int, options.connections.split(",")):
            figures = measure(options.bin, connections, options.times, port)
            cells = [figures.cell(name, options.times) for name in
                     ["kill", "kill own", "kill gap", "upgrade own", "upgrade gap"]]
            print(f"{connections:>11} | " + " | ".join(f"{cell:>15}" for cell in cells), flush=True)
    finally:
        os.kill(echo, signal.SIGTERM)
        os.waitpid(echo, 0)


if __name__ == "__main__":
    main()
