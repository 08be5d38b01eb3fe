#!/usr/bin/env python3
"""Proves that forwarding a message costs no allocation, no reference counting and no exclusivity check.

  hotpath.py LIMPETD LIMPETCTL COUNT.so

Starts a dynamically linked limpetd under the counting library, sends 1,000 messages through an open connection and
reads the counters of the forwarding threads, then 100,000 more: the difference must be the same as for the 1,000, but
for the one command a second by which the control plane measures the lag of a worker's loop. The control has connects
fail, which the workers write down in a table that allocates: if that does not count, the counters are broken and the
proof is worth nothing.
"""
import json, os, pathlib, signal, socket, subprocess, sys, tempfile, threading, time

FEW, MANY = 1_000, 100_000
SIZES = (64, 4096)
# Calls of one kind that a command costs at most.
COMMAND = 2
SERVICES = """
[[service]]
name = "echo"
listen = "127.0.0.1:0"
health = "off"
[[service.backend]]
name = "b1"
address = "127.0.0.1:{echo}"

[[service]]
name = "nobody"
listen = "127.0.0.1:0"
health = "off"
[[service.backend]]
name = "b1"
address = "127.0.0.1:{nobody}"
"""


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"hotpath: {what} did not happen within {seconds} s")
        time.sleep(0.01)


def echo_server():
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def serve(peer):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with peer:
            while data := peer.recv(65536):
                peer.sendall(data)

    def accept():
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=serve, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def exchange(peer, messages, size):
    data = b"x" * size
    for _ in range(messages):
        peer.sendall(data)
        left = size
        while left:
            left -= len(peer.recv(left))


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def refused(daemon):
    try:
        with daemon.connect("nobody") as peer:
            peer.recv(1)
    except ConnectionResetError:
        return
    sys.exit("hotpath: a client without a backend was not reset")


class Daemon:
    def __init__(self, limpetd, limpetctl, library, directory):
        self.limpetctl, self.control, self.counts = limpetctl, f"{directory}/control.sock", f"{directory}/counts"
        configuration = f"{directory}/limpet.toml"
        pathlib.Path(configuration).write_text(SERVICES.format(echo=echo_server(), nobody=closed_port()))
        command = [limpetd, "-c", configuration, "--workers", "1", "--control", self.control, "--state-directory",
                   f"{directory}/state"]
        if os.geteuid() == 0:
            command += ["--user", "root"]
        environment = dict(os.environ, LD_PRELOAD=library, HOTPATH_COUNTS=self.counts)
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.ctl("ready", "-q").returncode == 0, "readiness")
        # The keeper, which was started, forwards nothing.
        self.engine = json.loads(self.ctl("--json", "status").stdout)["engine_pid"]
        listeners = json.loads(self.ctl("--json", "listeners").stdout)["listeners"]
        self.ports = {row["service"]: int(row["address"].rsplit(":", 1)[1]) for row in listeners}

    def ctl(self, *arguments):
        return subprocess.run([self.limpetctl, "--control", self.control, *arguments], capture_output=True, text=True)

    def connect(self, service="echo"):
        peer = socket.create_connection(("127.0.0.1", self.ports[service]))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer

    def totals(self):
        pathlib.Path(self.counts).unlink(missing_ok=True)
        os.kill(self.engine, signal.SIGUSR1)
        wait_for(lambda: os.path.exists(self.counts), "the counters' file")
        return {name: int(value) for name, value in map(str.split, open(self.counts))}

    def cost(self, action):
        before, begun = self.totals(), time.monotonic()
        action()
        after = self.totals()
        return {name: after[name] - before[name] for name in after}, time.monotonic() - begun


def main(limpetd, limpetctl, library):
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(limpetd, limpetctl, library, directory)
        try:
            peer = daemon.connect()
            for size in SIZES:
                exchange(peer, 100, size)
                few, _ = daemon.cost(lambda: exchange(peer, FEW, size))
                many, seconds = daemon.cost(lambda: exchange(peer, MANY, size))
                for name in few:
                    same = abs(many[name] - few[name]) <= COMMAND * (seconds + 2)
                    failed |= not same
                    print(f"{'ok  ' if same else 'FAIL'} {size:5} bytes  {name:18} {few[name]:8} calls for {FEW:,} messages,"
                          f" {many[name]:8} for {MANY:,}")

            control, _ = daemon.cost(lambda: [refused(daemon) for _ in range(50)])
            for name in ("swift_retain", "swift_release", "swift_allocObject", "malloc"):
                counts = control[name] > 0
                failed |= not counts
                print(f"{'ok  ' if counts else 'FAIL'} control      {name:18} {control[name]:8} calls for 50 failed connects")
        finally:
            daemon.process.terminate()
            daemon.process.wait(20)
    print("hotpath:", "FAILED" if failed else "no allocation, no reference counting, no exclusivity check per message")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*map(os.path.abspath, sys.argv[1:])))
