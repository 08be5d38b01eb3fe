#!/usr/bin/env python3
"""A million spoilt requests, and a daemon that is none the worse.

    storm.py BIN LOAD STORM [--requests 1000000] [--seconds 600] [--seed 1]

BIN holds limpetd and limpetctl, LOAD and STORM are the programs of these names. What libFuzzer begins with is spoilt at random
and sent to a listener that takes PROXY headers, to the metrics' port and to the control socket; to this as root, as a member of
the group that may read and as a stranger. Meanwhile somebody asks through another service of the same daemon and waits for each
answer. It fails where the keeper or the engine is another process afterwards, where memory or descriptors have not come back, where
an answer took longer than three seconds, or where the daemon does not end well.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Benchmarks" / "abuse"))
from scene import (HEAD, Cast, Daemon, Interruptions, Unmeasured, asking, descriptors, memory, own_network, row,  # noqa: E402
                   service, wait_for)

# What the engine may have kept, in bytes: tables that grow with use and do not shrink. A leak of 32 bytes a request is more.
KEPT = 24 << 20
LONGEST_ANSWER_MS = 3000
# What of the control socket's corpus would end the daemon, or replace it, if root sent it.
ENDS = ["--skip", "shutdown", "--skip", "upgrade"]


class Storm:
    def __init__(self, program, seed):
        self.program, self.seed, self.requests = program, seed, 0

    def blow(self, target, corpus, requests, seconds, *arguments):
        """Sends so many requests, or fewer in so many seconds. What became of them."""
        self.seed += 1
        command = [self.program, target, ROOT / "Tests" / "Fuzz" / "corpus" / corpus, "--requests", requests, "--seconds",
                   seconds, "--seed", self.seed, *arguments]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True,
                              timeout=seconds + 60)
        answer = json.loads(done.stdout)
        self.requests += answer["requests"]
        return answer


def configuration(echo, own):
    backends = [("ws1", echo), ("ws2", echo)]
    return ("workers = 2\nmetrics = \"127.0.0.1:0\"\nstatus-page = true\n"
            + service("chat", backends, 'accept-proxy = ["127.0.0.0/8"]', 'idle-timeout = "20s"')
            + service("quiet", [("q1", own)]))


def phases(daemon):
    """Name, target, corpus, share of all requests, and how it is sent."""
    chat = daemon.addresses[0]
    web = wait_for("the metrics are served", lambda: daemon.metrics())
    control = ["--most", 6, "--connections", 40]
    yield "PROXY headers", chat, "proxy", 0.35, ["--plain", "--connections", 64]
    yield "the metrics' port", web, "web", 0.3, ["--most", 4, "--connections", 24]
    yield "the control socket", daemon.control, "control", 0.15, [*control, *ENDS]
    if os.geteuid() == 0:
        # Whoever may come there at all: the server is what is asked, not the rights of the file.
        os.chmod(daemon.place, 0o755)
        os.chmod(daemon.control, 0o666)
        group = os.stat(daemon.control).st_gid
        yield "the control socket, as a reader", daemon.control, "control", 0.12, [*control, "--uid", 65534, "--gid", group]
        yield "the control socket, as a stranger", daemon.control, "control", 0.08, [*control, "--uid", 65534, "--gid", 65534]


class Victim(Daemon):
    def metrics(self):
        """Where the metrics are: the kernel chose the port."""
        for line in self.said().split("\n"):
            if "metrics are served" in line:
                return line.split("address=")[1].split()[0]
        return None


def state(daemon):
    status = daemon.ask("status")
    engine = status["engine_pid"]
    return {"keeper": status["pid"], "engine": engine, "generation": status["engine_generation"],
            "memory": memory(engine), "descriptors": descriptors(engine)}


def settled(daemon, before):
    """Once all that came with the storm has gone. (Whoever came by a connection that is idle stays for a while.)"""
    try:
        wait_for("the descriptors come back", lambda: descriptors(before["engine"]) <= before["descriptors"] + 4, 60)
    except (TimeoutError, OSError):
        pass
    return state(daemon)


def run(options, cast, faults):
    # Who asks has a server of his own: what is measured is the daemon.
    _, own = cast.serve("echo-server", 1, "--limit", 7200)
    _, echo = cast.serve("echo-server", 1, "--limit", 7200)
    daemon = Victim(options.bin, {}, text=configuration(echo[0], own[0]))
    try:
        storm = Storm(options.storm, options.seed)
        quiet = daemon.addresses[1]
        # Whatever is made once is made before it is measured.
        for _, target, corpus, _, arguments in phases(daemon):
            storm.blow(target, corpus, options.requests // 200, 20, *arguments)
        time.sleep(1)
        before = settled(daemon, state(daemon))
        storm.requests = 0
        print(HEAD)
        found = {}
        with asking(cast, quiet, found):
            time.sleep(5)
        print(row("nobody else", found))
        found = {}
        with asking(cast, quiet, found):
            storm.blow(echo[0], "web", options.requests // 10, 15, "--connections", 64)
        print(row("the same noise, at another program", found))
        storm.requests, answers = 0, {}
        for name, target, corpus, share, arguments in phases(daemon):
            found = {}
            with asking(cast, quiet, found):
                answers[name] = storm.blow(
                    target, corpus, int(options.requests * share), max(5, options.seconds * share), *arguments)
            print(row(name, found), flush=True)
            if found["max_us"] > LONGEST_ANSWER_MS * 1000:
                faults.append(f"{name}: an answer took {found['max_us'] / 1000:.0f} ms")
        after = settled(daemon, before)
        print(f"{'requests':<36}{'sent':>9}{'per s':>9}{'2xx':>9}{'4xx':>9}{'5xx':>7}{'other':>8}{'silence':>9}")
        for name, sent in answers.items():
            print(f"{name:<36}{sent['requests']:>9}{sent['requests'] / sent['seconds']:>9.0f}{sent['2xx']:>9}{sent['4xx']:>9}"
                  f"{sent['5xx']:>7}{sent['other']:>8}{sent['unheard']:>9}")
        print(f"{storm.requests} requests; the engine's own memory {before['memory'] / 2**20:.1f} MiB, then"
              f" {after['memory'] / 2**20:.1f}; descriptors {before['descriptors']}, then {after['descriptors']}")
        for what in ("keeper", "engine", "generation"):
            if after[what] != before[what]:
                faults.append(f"the {what} was {before[what]} and is {after[what]}")
        if after["memory"] > before["memory"] + KEPT:
            faults.append("the engine has kept its memory")
        if after["descriptors"] > before["descriptors"] + 4:
            faults.append("the engine has kept descriptors")
        if daemon.ctl("ready", "-q").returncode != 0:
            faults.append("it is not ready any more")
        if storm.requests < options.requests * 0.2:
            faults.append("a fifth of the requests did not get through in time")
    except Unmeasured as fault:
        faults.append(str(fault))
    finally:
        said = daemon.said()
        status = daemon.close()
    if status != 0:
        faults.append(f"it ended with status {status}")
    for word in ("Fatal error", "died by", "AddressSanitizer"):
        if word in said:
            faults.append(f"the log says \"{word}\"")
    if faults:
        print(said[-4000:], file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin")
    parser.add_argument("load")
    parser.add_argument("storm")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    Interruptions.watch()
    faults = []
    programs = {role: [options.load, role] for role in ("echo-server", "paced")}
    with own_network(), Cast(programs) as cast:
        run(options, cast, faults)
    for fault in faults:
        print(f"storm: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
