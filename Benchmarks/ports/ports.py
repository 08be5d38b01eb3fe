#!/usr/bin/env python3
"""What it costs to run out of local ports, and that others do not notice.

    ports.py BIN [--sources 4] [--ports 2000] [--seconds 5]

BIN holds limpetd and limpetctl, built for release. For root: all happens in a network namespace of its own, in which
addresses have so many local ports. The connections to one backend take all of them from every source address. Then clients
keep coming, as fast as they are refused, while one that was there before asks and is answered in turn; then a tenth of the
connections end, and as many come in again. Printed are the processor time of limpetd for a connection that is taken in, for
one that is refused, and the answers' times without and beside the refused ones.
"""
import argparse
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

SERVER = ("127.0.0.1", 17001)
LISTENER = ("127.0.0.2", 17002)
LINGER = struct.pack("ii", 1, 0)


def own_network():
    """Begins again in a network namespace, unless this is one already."""
    if os.environ.get("LIMPET_PORTS") != "1":
        os.execvpe("unshare", ["unshare", "-n", sys.executable, *sys.argv], {**os.environ, "LIMPET_PORTS": "1"})
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def greeter():
    """A server in a process of its own: greets with one byte, and answers each byte with one. Its process id."""
    pid = os.fork()
    if pid:
        return pid
    import selectors
    listener = socket.create_server(SERVER, backlog=4096)
    listener.setblocking(False)
    selector = selectors.EpollSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                peer, _ = listener.accept()
                peer.setblocking(False)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.send(b"!")
                selector.register(peer, selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(64)
            except ConnectionError:
                data = b""
            if data:
                key.fileobj.send(data)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()


class Clients:
    """Clients from many addresses, so that the ports on their side are never short."""

    def __init__(self):
        self.number = 0

    def connect(self):
        """A connection that was greeted; None: it was refused."""
        self.number += 1
        client = socket.socket()
        client.settimeout(10)
        # The port is looked for when it is known whereto.
        client.setsockopt(socket.IPPROTO_IP, 24, 1)
        client.bind((f"127.1.{self.number // 200 % 200}.{1 + self.number % 200}", 0))
        try:
            client.connect(LISTENER)
            if client.recv(1) == b"!":
                return client
        except ConnectionResetError:
            pass
        client.close()
        return None


def ticks(pid):
    """Processor time of a process and its children so far, in seconds."""
    total = 0
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for process in [str(pid), *children]:
        for task in pathlib.Path(f"/proc/{process}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except OSError:
                pass
    return total / 1e9


def answers(client, seconds, beside=None):
    """Times of one byte there and back, with `beside` called between them."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        client.sendall(b"x")
        client.recv(1)
        times.append(time.perf_counter() - start)
        if beside:
            beside()
    return times


def told(times):
    times = sorted(times)
    return f"{statistics.median(times) * 1e6:.0f} µs, p99 {times[int(len(times) * 0.99)] * 1e6:.0f} µs"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bin")
    parser.add_argument("--sources", type=int, default=4)
    parser.add_argument("--ports", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("ports.py: a network namespace is for root to make")
    own_network()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    low = 20000
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{low} {low + options.ports - 1}")
    programs = pathlib.Path(options.bin)
    directory = tempfile.mkdtemp()
    sources = [f"127.0.0.{10 + number}" for number in range(options.sources)]
    pathlib.Path(directory, "limpet.toml").write_text(
        f'[[service]]\nname = "s"\nlisten = "{LISTENER[0]}:{LISTENER[1]}"\nhealth = "off"\nsource = {sources}\n'
        f'backend = [{{ name = "b", address = "{SERVER[0]}:{SERVER[1]}" }}]\n'.replace("'", '"'))
    server = greeter()
    daemon = subprocess.Popen(
        [programs / "limpetd", "-c", f"{directory}/limpet.toml", "--user", "root", "--workers", "1", "--control",
         f"{directory}/control.sock", "--state-directory", f"{directory}/state"],
        stderr=open(f"{directory}/log", "w"))
    try:
        play(options, programs, directory, daemon.pid)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
        shutil.rmtree(directory)


def play(options, programs, directory, daemon):
    clients, held = Clients(), []
    while not os.path.exists(f"{directory}/control.sock"):
        time.sleep(0.05)
    for _ in range(100):
        try:
            first = clients.connect()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    budget = options.sources * options.ports
    before = ticks(daemon)
    while (client := clients.connect()) is not None:
        held.append(client)
    taken = ticks(daemon) - before
    print(f"{len(held) + 1} connections from {options.sources} addresses of {options.ports} ports each "
          f"({100 * (len(held) + 1) / budget:.1f} %), {1e6 * taken / len(held):.0f} µs of processor time each")

    print(f"answers, nothing beside them: {told(answers(first, options.seconds))}")
    count = 0

    def refused():
        nonlocal count
        if (client := clients.connect()) is not None:
            held.append(client)
        else:
            count += 1
    before, start = ticks(daemon), time.monotonic()
    times = answers(first, options.seconds, refused)
    spent, lasted = ticks(daemon) - before, time.monotonic() - start
    print(f"answers, {count / lasted:.0f} clients a second refused beside them: {told(times)}")
    print(f"limpetd meanwhile: {100 * spent / lasted:.1f} % of a processor, {1e6 * spent / count:.0f} µs a client with its answer")

    environment = {**os.environ, "LIMPET_CONTROL": f"{directory}/control.sock"}
    metrics = subprocess.run([programs / "limpetctl", "metrics"], env=environment, capture_output=True, text=True).stdout
    counted = [int(float(value)) for value in re.findall(r"^limpet_source_ports\{.*\} (\S+)$", metrics, re.M)]
    failures = re.findall(r"^limpet_backend_connect_failures_total\{(?!.*reason=\"local\").*\} (\S+)$", metrics, re.M)
    print(f"limpet_source_ports: {' + '.join(map(str, counted))} = {sum(counted)}; "
          f"failed connects held against the backend: {sum(int(float(value)) for value in failures)}")
    lines = sum("no local port" in line for line in open(f"{directory}/log"))
    print(f"lines of the log that say so: {lines}")

    # Reset, so that nothing stays in TIME_WAIT.
    for client in held[:len(held) // 10]:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        client.close()
    free, came, start = len(held) // 10, 0, time.monotonic()
    while came < free and time.monotonic() - start < 60:
        if (client := clients.connect()) is not None:
            held.append(client)
            came += 1
    print(f"{free} ended; {came} came in again within {time.monotonic() - start:.1f} s")


main()
