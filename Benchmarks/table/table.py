#!/usr/bin/env python3
"""What looking at a table of connections costs, and what it costs who is connected.

    table.py BIN [--connections 9000] [--rounds 5] [--every 1]

BIN holds limpetd and limpetctl, built for release. So many connections are held open through limpetd, and one more asks and
is answered in turn all the time. Rounds with nothing beside it, rounds in which the table is listed as often as --every says,
and rounds in which another program computes for as long as that, and asks limpetd nothing, take turns: on a machine with few
processors the last tells what any work costs. Printed are the times of one listing, and the median and the 99th percentile of
the answers in each kind of round.
"""
import argparse
import json
import os
import pathlib
import resource
import selectors
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROUND = 2.0


def echo_server():
    """An echo server for any number of clients in a process of its own: its port, and its process id."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    port = listener.getsockname()[1]
    pid = os.fork()
    if pid:
        listener.close()
        return port, pid
    listener.setblocking(False)
    selector = selectors.EpollSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                peer, _ = listener.accept()
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.setblocking(False)
                selector.register(peer, selectors.EVENT_READ)
            else:
                data = key.fileobj.recv(64)
                if data:
                    key.fileobj.sendall(data)
                else:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


def ping(address, seconds):
    """Answers' times in seconds, taken in a process of its own."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with socket.create_connection(address) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end = time.perf_counter() + seconds
            while (begun := time.perf_counter()) < end:
                client.sendall(b"x")
                client.recv(1)
                os.write(write, struct.pack("d", time.perf_counter() - begun))
        os._exit(0)
    os.close(write)
    return read, pid


def collect(read, pid):
    data = b""
    while part := os.read(read, 1 << 20):
        data += part
    os.close(read)
    os.waitpid(pid, 0)
    return [value[0] for value in struct.iter_unpack("d", data)]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--connections", type=int, default=9000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", type=float, default=1.0)
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    port, echo = echo_server()
    directory = tempfile.mkdtemp(prefix="limpet-table-")
    control = f"{directory}/control.sock"
    daemon = subprocess.Popen(
        [arguments.bin / "limpetd", "--listen", "127.0.0.1:0", "--backend", f"127.0.0.1:{port}", "--health", "off",
         "--control", control, "--state-directory", f"{directory}/state", "--log-level", "error"]
        + (["--user", "root"] if os.geteuid() == 0 else []), stderr=subprocess.DEVNULL)
    ctl = [str(arguments.bin / "limpetctl"), "--control", control]
    held = []
    try:
        while subprocess.run(ctl + ["ready", "-q"], check=False).returncode:
            time.sleep(0.05)
        listeners = json.loads(subprocess.run(ctl + ["--json", "listeners"], check=True, capture_output=True).stdout)
        host, _, number = listeners["listeners"][0]["address"].rpartition(":")
        address = (host, int(number))
        for index in range(arguments.connections):
            source = (f"127.1.{index // 250 % 250}.{index % 250 + 1}", 0)
            held.append(socket.create_connection(address, source_address=source))
        forms = {"connections --json": ["--json", "connections"],
                 "connections --json --wide": ["--json", "connections", "--wide"],
                 "connections --json --sort bytes": ["--json", "connections", "--sort", "bytes"]}
        busy = "another program beside"
        answers = {None: [], busy: []} | {name: [] for name in forms}
        spin = "import time; end = time.process_time() + %f\nwhile time.process_time() < end: pass"
        times = {name: [] for name in forms}
        for _ in range(arguments.rounds):
            for name in answers:
                round_ = ping(address, ROUND)
                end = time.monotonic() + ROUND
                while name and time.monotonic() < end:
                    begun = time.monotonic()
                    if name == busy:
                        took = statistics.median(times["connections --json"] or [0.1])
                        subprocess.run([sys.executable, "-c", spin % took], check=True)
                    else:
                        with open("/dev/null", "w") as nowhere:
                            subprocess.run(ctl + forms[name], check=True, stdout=nowhere)
                        times[name].append(time.monotonic() - begun)
                    time.sleep(max(0, min(end, begun + arguments.every) - time.monotonic()))
                answers[name] += collect(*round_)
        print(f"{arguments.connections} connections")
        for name, values in answers.items():
            took = (f"{statistics.median(times[name]) * 1000:7.0f} ms ({max(times[name]) * 1000:.0f})"
                    if name in times else "-")
            print(f"{name or 'nothing beside':34} listing {took:>18}   ping-pong median"
                  f" {percentile(values, 0.5) * 1e6:5.0f} us, p99 {percentile(values, 0.99) * 1e6:6.0f} us")
    finally:
        for connection in held:
            connection.close()
        os.kill(echo, signal.SIGKILL)
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
