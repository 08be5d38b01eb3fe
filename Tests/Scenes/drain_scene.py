#!/usr/bin/env python3
"""A server is taken out at noon and nobody notices, seen by WebSocket servers and clients that were written elsewhere:
Python's `websockets`.

Five echo servers, the real limpetd before them, and many clients, each from an address of its own, that talk now and then and
connect again when they are closed. `limpetctl plan drain` says what will happen; then one server is drained:

    limpetctl drain ws1 --over TIME --deadline TIME --wait

  * it succeeds, and no connection is left on that server;
  * in no second do the other servers get more than twice the clients that are shed in one, as far as this program did not
    stall; where it did most of the time, all of it is done again;
  * nobody who was on another server is disturbed;
  * everybody lands where the plan said, by server and, for some of them, one by one;
  * after the undrain nobody moves, and a client that comes again is home.

    drain_scene.py --limpetd PATH --limpetctl PATH [--clients N] [--over S] [--deadline S]

Says what it finds, line by line. Exit status: 0 all of it is true; 1 something is not, or could not be tried; 2 usage.
"""

import argparse
import asyncio
import collections
import contextlib
import random
import resource
import sys
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake

# Nothing is left beside the sources.
sys.dont_write_bytecode = True
from websockets_scene import QUIET, Limpet, Untrue, claim, visit

NAMES = ["ws1", "ws2", "ws3", "ws4", "ws5"]
DRAINED = "ws1"
# Whoever stalls for so long, as this program may on a busy machine, cannot tell when the others did what they did.
STALL = 0.2
# … and then it tries again, so often in all.
TRIES = 4


class Stalled(Exception):
    """This program stood still for so long that nothing can be told."""


class Servers:
    """What the servers see: who comes when."""

    def __init__(self):
        self.accepts = []

    def handler(self, name):
        async def echo(socket):
            self.accepts.append((time.monotonic(), name))
            with contextlib.suppress(ConnectionClosed):
                await socket.send(f"hello from {name}")
                async for message in socket:
                    await socket.send(message)

        return echo


class Client:
    """Connects, talks now and then, connects again when it is closed, until it is told to go."""

    def __init__(self, url, source, random):
        self.url, self.source, self.random = url, source, random
        self.server = None
        self.landings = []
        self.closes = 0
        self.task = None

    async def run(self):
        while True:
            try:
                async with connect(self.url, local_addr=(self.source, 0), proxy=None, open_timeout=60, **QUIET) as socket:
                    self.server = (await socket.recv()).removeprefix("hello from ")
                    self.landings.append(self.server)
                    while True:
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(socket.wait_closed(), self.random.uniform(1, 5))
                        await socket.send(self.source)
                        if await socket.recv() != self.source:
                            raise Untrue(f"{self.source} hears its own words")
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError):
                if self.server is not None:
                    self.closes += 1
                self.server = None


class Watch:
    """Notes when this program stalls."""

    def __init__(self):
        self.stalls = []

    async def run(self):
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.02)
            now = time.monotonic()
            if now - last > STALL:
                self.stalls.append((last, now))
            last = now


async def until(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Untrue(f"{what} (waited {seconds} s)")
        await asyncio.sleep(0.05)


def busiest_second(accepts, stalls):
    """The most accepts in any second in which this program did not stall, and how many accepts lie in such seconds."""
    most, window, counted = 0, collections.deque(), 0
    for moment in accepts:
        window.append(moment)
        while window[0] <= moment - 1:
            window.popleft()
        if any(start < moment + STALL and end > moment - 1 - STALL for start, end in stalls):
            continue
        counted += 1
        most = max(most, len(window))
    return most, counted


async def play(limpet, servers, options):
    sources = [f"127.{1 + i % 8}.{i // 250}.{1 + i % 250}" for i in range(options.clients)]
    random_ = random.Random(6)
    clients = [Client(limpet.url, source, random_) for source in sources]
    watch = Watch()
    watching = asyncio.create_task(watch.run())
    for number, client in enumerate(clients):
        client.task = asyncio.create_task(client.run())
        if number % 50 == 49:
            await asyncio.sleep(0.05)
    try:
        everybody = lambda: all(client.server is not None for client in clients)
        await until(everybody, "all clients are connected")
        before = {client.source: client.server for client in clients}
        claim(set(before.values()) == set(NAMES), f"{len(clients)} clients are connected, some to each of {', '.join(NAMES)}")

        report = await limpet.ctl("plan", "drain", DRAINED)
        plan = report["plan"]
        movers = [client for client in clients if client.server == DRAINED]
        claim(
            plan["moving"] == len(movers) and plan["connections"] == len(clients) and plan["homeless"] == 0,
            f"the plan moves {len(movers)} of {len(clients)}")
        chosen = {}
        for client in movers[:10]:
            where = await limpet.ctl("where", client.source, "--without", DRAINED)
            chosen[client.source] = where["chosen"]

        rate = len(movers) / options.over
        begin = time.monotonic()
        servers.accepts.clear()
        status, output, errors = await limpet.run(
            "drain", DRAINED, "--over", f"{options.over}s", "--deadline", f"{options.deadline}s", "--wait")
        took = time.monotonic() - begin
        sys.stdout.write(output)
        claim(status == 0, f"the drain succeeds (exit status {status}; {errors.strip() or 'no complaint'})")
        rows = {row["name"]: row for row in (await limpet.ctl("backends"))["backends"]}
        claim(
            rows[DRAINED]["connections"] + rows[DRAINED]["connecting"] == 0 and rows[DRAINED]["state"] == "drained",
            f"{DRAINED} has no connection after {took:.1f} s")
        claim(took < options.deadline + 10, "it was done with the deadline")
        await until(everybody, "all clients are connected again")

        survivors = [moment for moment, name in servers.accepts if name != DRAINED]
        claim(len(survivors) == len(servers.accepts), f"{DRAINED} got nobody after it was drained")
        most, counted = busiest_second(survivors, watch.stalls)
        if counted * 2 < len(survivors):
            raise Stalled(f"only {counted} of {len(survivors)} arrivals lie in seconds without a stall")
        claim(
            most <= 2 * rate + 1,
            f"in the busiest second {most} came, at {rate:.1f} shed in one (of {counted} of {len(survivors)} that can be told)")
        strangers = [client for client in clients if before[client.source] != DRAINED]
        disturbed = [client.source for client in strangers if client.closes]
        claim(not disturbed, f"none of {len(strangers)} on the other servers was disturbed ({disturbed[:5]})")
        twice = [client.source for client in movers if client.closes != 1]
        claim(not twice, f"each of the {len(movers)} was closed once ({twice[:5]})")

        rows = {row["name"]: row for row in (await limpet.ctl("backends"))["backends"]}
        for row in plan["backends"]:
            now = rows[row["backend"]]["connections"]
            claim(now == row["connections_after"], f"{row['backend']} has {now}, as planned {row['connections_after']}")
        wrong = [source for source, name in chosen.items() if before[source] != DRAINED or name is None]
        landed = {client.source: client.server for client in movers}
        wrong += [source for source, name in chosen.items() if landed[source] != name]
        claim(not wrong, f"{len(chosen)} of them, one by one, are where the plan sent them ({wrong[:5]})")

        await limpet.ctl("undrain", DRAINED)
        source = movers[0].source
        claim(await visit(limpet.url, source) == DRAINED, "after the undrain a client that comes again is home")
        claim(sum(client.closes for client in clients) == len(movers), "and nobody else has moved")
    finally:
        for task in [client.task for client in clients] + [watching]:
            task.cancel()
        await asyncio.gather(*(client.task for client in clients), watching, return_exceptions=True)


async def attempt(options):
    servers = Servers()
    async with contextlib.AsyncExitStack() as stack:
        ports = {}
        for name in NAMES:
            server = await stack.enter_async_context(
                serve(servers.handler(name), "127.0.0.1", 0, backlog=4096, **QUIET))
            ports[name] = server.sockets[0].getsockname()[1]
        limpet = await stack.enter_async_context(Limpet(options, ports, []))
        await play(limpet, servers, options)


async def stage(options):
    for tried in range(1, TRIES + 1):
        try:
            return await attempt(options)
        except Stalled as reason:
            print(f"stalled: {reason} (try {tried} of {TRIES})", flush=True)
    raise Untrue("this machine is so busy that nothing can be told: try it again when it is not")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limpetd", required=True)
    parser.add_argument("--limpetctl", required=True)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--over", type=int, default=5, help="seconds over which the server's clients are shed")
    parser.add_argument("--deadline", type=int, default=20, help="seconds after which what is left is closed")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    try:
        asyncio.run(stage(options))
    except Untrue as error:
        print(f"not true: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
