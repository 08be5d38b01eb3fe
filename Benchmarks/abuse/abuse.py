#!/usr/bin/env python3
"""What abuse costs everybody else: somebody asks a thousand times a second through a service of limpetd and waits for each answer,
while others do harm to another service of the same daemon.

    abuse.py BIN LOAD [--seconds 8] [--only PATTERN,...]

BIN holds limpetd and limpetctl, LOAD is the load generator. For root: it has a network of its own, where nothing that is sent to
invented addresses arrives. Floods take processor time from whoever asks and from whoever answers too, where all share a few
processors; so beside each stands what the same flood costs when it goes to another program.
"""
import argparse
import contextlib
import fnmatch
import os
import pathlib
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time

from scene import (HEAD, Asker, Cast, Daemon, Interruptions, Unmeasured, descriptors, memory, own_network, row,
                   service, wait_for)


@contextlib.contextmanager
def another(body, *arguments):
    """Runs `body` in a process of its own meanwhile; it is told to end."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Whoever is told to end by the end of its input is not to wait for this one.
        os.closerange(3, 65536)
        try:
            body(*arguments)
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def half_open(port):
    """SYNs from senders that will never answer, 20,000 in a second."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    number = 0
    while True:
        begun = time.monotonic()
        for _ in range(200):
            number += 1
            source, target = struct.pack("!I", 0x0A000001 + number // 50 % 1000000), bytes([127, 0, 0, 1])
            tcp = bytearray(struct.pack("!HHIIBBHHH", 1024 + number % 50, port, number * 2654435761 % 2**32, 0, 0x50, 2, 65535,
                                        0, 0))
            words = struct.unpack("!16H", source + target + bytes([0, 6, 0, 20]) + tcp)
            total = sum(words)
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
            struct.pack_into("!H", tcp, 16, ~total & 0xFFFF)
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source, target)
            with contextlib.suppress(OSError):
                raw.sendto(header + tcp, ("127.0.0.1", port))
        time.sleep(max(0, begun + 0.01 - time.monotonic()))


def clients(address, count):
    """Connections from as many addresses."""
    host, port = address.rsplit(":", 1)
    found = []
    for number in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.setsockopt(socket.IPPROTO_IP, 24, 1)
        client.bind((f"127.7.{number // 250}.{1 + number % 250}", 0))
        client.settimeout(20)
        client.connect((host, int(port)))
        client.setblocking(False)
        found.append(client)
    return found


def deaf(address, count):
    """Asks for as much as it is given, and reads nothing."""
    poll, block = select.epoll(), bytes(1 << 18)
    held = {client.fileno(): client for client in clients(address, count)}
    for number in held:
        poll.register(number, select.EPOLLOUT)
    while True:
        for number, _ in poll.poll(0.1):
            with contextlib.suppress(OSError):
                held[number].send(block)


def silent(address, count):
    held = clients(address, count)
    while held:
        time.sleep(1)


class Scenes:
    """By their names: what happens while somebody asks. Each is a context."""

    def __init__(self, cast, daemon, echo):
        self.cast, self.daemon, self.echo = cast, daemon, echo
        self.addresses = dict(zip(("quiet", "open", "limited", "denied", "bounded"), daemon.addresses))
        self.told = ""

    @contextlib.contextmanager
    def churn(self, address):
        child = self.cast.client(
            "churn", [address], "--sources", 250, "--connections", 64, "--seconds", 3600, "--limit", 7200)
        refused = sum(row["refused"] for row in self.daemon.ask("listeners")["listeners"])
        accepted = sum(row["accepted"] for row in self.daemon.ask("listeners")["listeners"])
        begun = time.monotonic()
        yield
        rows = self.daemon.ask("listeners")["listeners"]
        seconds = time.monotonic() - begun
        self.told = (f"{(sum(row['accepted'] for row in rows) - accepted) / seconds:.0f} accepted and"
                     f" {(sum(row['refused'] for row in rows) - refused) / seconds:.0f} refused a second")
        os.kill(child.process.pid, signal.SIGKILL)
        self.cast.end(child)

    @contextlib.contextmanager
    def nobody(self):
        """nobody else"""
        yield

    def elsewhere(self):
        """a flood of connections, at another program"""
        return self.churn(self.echo)

    def served(self):
        """a flood of connections, all served"""
        return self.churn(self.addresses["open"])

    def limited(self):
        """a flood, refused by accept-rate-per-client"""
        return self.churn(self.addresses["limited"])

    def denied(self):
        """a flood, refused by deny"""
        return self.churn(self.addresses["denied"])

    @contextlib.contextmanager
    def half_open(self):
        """20,000 half-open connections a second"""
        before = cookies()
        with another(half_open, int(self.addresses["open"].rsplit(":", 1)[1])):
            yield
        self.told = f"{cookies() - before} answered by the kernel without its queue"

    @contextlib.contextmanager
    def silent(self):
        """2,000 clients that never send"""
        with another(silent, self.addresses["open"], 2000):
            wait_for("they are there", lambda: self.daemon.ask("status")["connections"] >= 2000)
            self.told = self.engine()
            yield

    def deaf(self):
        """500 clients that never read"""
        return self.unread("open")

    def bounded(self):
        """the same, with buffers of 128 KiB"""
        return self.unread("bounded")

    @contextlib.contextmanager
    def unread(self, name):
        before = self.engine()
        with another(deaf, self.addresses[name], 500):
            wait_for("they are there", lambda: self.daemon.ask("status")["connections"] >= 500)
            # Until nothing more goes in anywhere.
            moved = -1
            while moved != (moved := sum(row["bytes_in"] for row in self.daemon.ask("backends")["backends"])):
                time.sleep(1)
            yield
            pages = int(re.search(r"TCP:.* mem (\d+)", pathlib.Path("/proc/net/sockstat").read_text())[1])
            self.told = (f"{before}, then {self.engine()}, {self.daemon.ask('status')['pipes']} pipes; the kernel holds"
                         f" {pages * resource.getpagesize() / 2**20:.0f} MiB for TCP")

    @contextlib.contextmanager
    def descriptors(self):
        """no descriptor is left"""
        engine = self.daemon.ask("status")["engine_pid"]
        hard = resource.prlimit(engine, resource.RLIMIT_NOFILE)
        # Twenty numbers are free below the limit.
        used, limit, free = {int(path.name) for path in pathlib.Path(f"/proc/{engine}/fd").iterdir()}, 0, 0
        while free < 20:
            free += limit not in used
            limit += 1
        resource.prlimit(engine, resource.RLIMIT_NOFILE, (limit, hard[1]))
        with another(silent, self.addresses["open"], 200):
            wait_for("it says so", lambda: "open files" in self.daemon.said())
            yield
        resource.prlimit(engine, resource.RLIMIT_NOFILE, hard)
        lines = sum("open files" in line for line in self.daemon.said().split("\n"))
        self.told = f"{lines} line(s) in the log"

    @contextlib.contextmanager
    def memory(self):
        """the engine is ended for want of memory"""
        before = self.daemon.ask("status")["engine_pid"]
        time.sleep(1)
        os.kill(before, signal.SIGKILL)
        yield
        after = wait_for("another engine", lambda: self.daemon.engine())
        self.told = "no connection lost" if after != before else "it still lives"

    def engine(self):
        pid = self.daemon.ask("status")["engine_pid"]
        return f"{memory(pid) / 2**20:.1f} MiB and {descriptors(pid)} descriptors"


def cookies():
    lines = [line.split() for line in subprocess.check_output(["cat", "/proc/net/netstat"], text=True).split("\n")
             if line.startswith("TcpExt:")]
    return int(lines[1][lines[0].index("SyncookiesSent")])


NAMES = ["nobody", "elsewhere", "served", "limited", "denied", "half_open", "silent", "deaf", "bounded", "descriptors", "memory"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin")
    parser.add_argument("load")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("abuse: only root can have a network of its own, and send half-open connections")
    wanted = [name for name in NAMES
              if not options.only or any(fnmatch.fnmatch(name, one) for one in options.only.split(","))]
    Interruptions.watch()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    programs = {role: [options.load, role] for role in ("echo-server", "paced", "churn")}
    with own_network() as is_own, Cast(programs) as cast:
        if not is_own:
            raise Unmeasured("there is no network of its own")
        # What is sent to the senders of half-open connections has somewhere to go, and gets lost there.
        for command in ("link add lost type veth peer name gone", "link set gone up", "link set lost up arp off",
                        "route add 10.0.0.0/8 dev lost"):
            subprocess.run(["ip", *command.split()], check=True)
        pathlib.Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("1")
        # Who asks has a server of his own: what is measured is the daemon.
        _, own = cast.serve("echo-server", 1, "--limit", 7200)
        _, echo = cast.serve("echo-server", 1, "--limit", 7200)
        to = [("b1", echo[0])]
        text = "workers = 2\n" + "".join((
            service("quiet", [("b1", own[0])]), service("open", to), service("limited", to, "accept-rate-per-client = 1"),
            service("denied", to, 'deny = ["127.1.0.0/16"]'),
            service("bounded", to, 'receive-buffer = "128KiB"', 'send-buffer = "128KiB"')))
        daemon = Daemon(options.bin, {}, text=text)
        try:
            print(HEAD)
            for name in wanted:
                # Each with its own: what one leaves in TIME_WAIT or in a table is not the next one's.
                scenes = Scenes(cast, daemon, echo[0])
                scene = getattr(scenes, name)
                asker = Asker(cast, scenes.addresses["quiet"])
                # A death happens while somebody asks; all else is there before.
                if name == "memory":
                    asker.begin()
                with scene():
                    if name != "memory":
                        asker.begin()
                    time.sleep(options.seconds)
                    found = asker.finish()
                title = scene.__doc__
                print(row(title, found) + (f"  {scenes.told}" if scenes.told else ""), flush=True)
                wait_for("all have gone", lambda: daemon.ask("status")["connections"] == 0)
        finally:
            daemon.close()


if __name__ == "__main__":
    main()
