#!/usr/bin/env python3
"""The main job of Limpet, seen by WebSocket servers and clients that were written elsewhere: Python's `websockets`.

Three echo servers, the real limpetd before them, clients from 60 addresses:

  * 60 of 60 reconnect to the same server, five times over;
  * after a drain of one server only its clients have moved, each to the second in its order;
  * after the undrain 60 of 60 are home;
  * a WebSocket that stays open and idle through all of it, to the drained server, still echoes at its end.

Says what it finds, line by line. Exit status: 0 all of it is true; 1 something is not, or could not be tried; 2 usage.
What follows `--` is handed to limpetd: with `--hash-on source-port` the scene has to fail.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

NAMES = ["ws1", "ws2", "ws3"]
DRAINED = "ws2"
# Nothing may keep the idle connection busy, and nothing but limpetd may stand in between.
QUIET = {"ping_interval": None, "compression": None}


class Untrue(Exception):
    """A statement of the scene does not hold."""


def claim(holds, statement):
    if not holds:
        raise Untrue(statement)
    print("ok:", statement, flush=True)


class Limpet:
    """A running limpetd in a directory of its own, and limpetctl for it."""

    def __init__(self, programs, backends, extra):
        self.programs = programs
        self.directory = tempfile.mkdtemp(prefix="limpet-scene-")
        self.control = os.path.join(self.directory, "control.sock")
        self.arguments = ["--listen", "127.0.0.1:0", "--control", self.control]
        self.arguments += ["--state-directory", os.path.join(self.directory, "state")]
        for name, port in backends.items():
            self.arguments += ["--backend", f"{name}=127.0.0.1:{port}"]
        if os.geteuid() == 0:
            self.arguments += ["--user", "root"]
        self.arguments += extra
        self.process = None

    async def __aenter__(self):
        self.log = open(os.path.join(self.directory, "log"), "w+")
        try:
            self.process = await asyncio.create_subprocess_exec(
                self.programs.limpetd, *self.arguments, stdin=asyncio.subprocess.DEVNULL,
                stdout=self.log, stderr=self.log)
            while (await self.run("ready", "-q"))[0] != 0:
                if self.process.returncode is not None:
                    raise Untrue(f"limpetd starts (it exited with {self.process.returncode})")
                await asyncio.sleep(0.02)
            (listener,) = (await self.ctl("listeners"))["listeners"]
            self.url = f"ws://{listener['address']}/"
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, kind, error, traceback):
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 10)
            except asyncio.TimeoutError:
                self.process.kill()
                await self.process.wait()
        if error is not None:
            self.log.seek(0)
            sys.stderr.write(f"limpetd logged:\n{self.log.read()}")
        self.log.close()
        shutil.rmtree(self.directory)

    async def run(self, *arguments):
        """Runs limpetctl; its exit status, output and error output."""
        process = await asyncio.create_subprocess_exec(
            self.programs.limpetctl, "--control", self.control, *arguments, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()

    async def ctl(self, *arguments):
        """Runs limpetctl, which has to succeed; the document that it prints."""
        status, output, errors = await self.run(*arguments, "--json")
        if status != 0:
            raise Untrue(f"limpetctl {' '.join(arguments)} succeeds (exit status {status}: {errors.strip()})")
        return json.loads(output)


async def echo(name, socket):
    await socket.send(f"hello from {name}")
    async for message in socket:
        await socket.send(message)


async def enter(url, source):
    """A WebSocket from the address, and the name of the server that greeted it."""
    socket = await connect(url, local_addr=(source, 0), proxy=None, **QUIET)
    greeting = await socket.recv()
    return socket, greeting.removeprefix("hello from ")


async def visit(url, source):
    """Comes, says something, hears it again, goes; the name of the server."""
    socket, name = await enter(url, source)
    text = f"{source} was here"
    await socket.send(text)
    heard = await socket.recv()
    await socket.close()
    if heard != text or socket.close_code != 1000:
        raise Untrue(f"{source} hears its own words and an orderly end (heard {heard!r}, code {socket.close_code})")
    return name


async def visit_all(url, sources):
    return dict(zip(sources, await asyncio.gather(*(visit(url, source) for source in sources))))


async def play(limpet, count, rounds):
    # Spread over several networks, as clients are.
    sources = [f"127.{1 + i % 4}.{i // 8}.{10 + i}" for i in range(count)]
    home = await visit_all(limpet.url, sources)
    claim(set(home.values()) == set(NAMES), f"{count} clients have landed, some on each of {', '.join(NAMES)}")

    guests = [source for source in sources if home[source] == DRAINED]
    idle, name = await enter(limpet.url, guests[0])
    claim(name == DRAINED, f"{guests[0]} has a WebSocket to {DRAINED} and leaves it idle")

    for number in range(1, rounds + 1):
        again = await visit_all(limpet.url, sources)
        same = sum(again[source] == home[source] for source in sources)
        claim(same == count, f"round {number}: {same} of {count} reconnect to the same server")

    await limpet.ctl("drain", DRAINED)
    away = await visit_all(limpet.url, sources)
    moved = [source for source in sources if away[source] != home[source]]
    claim(moved == guests, f"after the drain {len(moved)} have moved: {DRAINED}'s {len(guests)} clients, nobody else")
    for source in guests:
        first, second, *_ = [row["backend"] for row in (await limpet.ctl("where", source))["preference"]]
        if (first, second) != (DRAINED, away[source]):
            raise Untrue(f"{source} moved to the second in its order (moved to {away[source]}, not {second})")
    print(f"ok: each of the {len(guests)} moved to the second in its order", flush=True)

    await limpet.ctl("undrain", DRAINED)
    back = await visit_all(limpet.url, sources)
    same = sum(back[source] == home[source] for source in sources)
    claim(same == count, f"after the undrain {same} of {count} are home")

    await idle.send("still there?")
    claim(await idle.recv() == "still there?", "the idle WebSocket is still open and still echoes")
    await idle.close()


async def main():
    parser = argparse.ArgumentParser(description="Limpet between websockets' servers and clients.")
    parser.add_argument("--limpetd", required=True, help="path of the daemon")
    parser.add_argument("--limpetctl", required=True, help="path of limpetctl")
    parser.add_argument("--clients", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("extra", nargs="*", metavar="-- FLAG", help="more flags for limpetd")
    programs = parser.parse_args()

    async with contextlib.AsyncExitStack() as stack:
        ports = {}
        for name in NAMES:
            server = await stack.enter_async_context(
                serve(lambda socket, name=name: echo(name, socket), "127.0.0.1", 0, **QUIET))
            ports[name] = server.sockets[0].getsockname()[1]
        limpet = await stack.enter_async_context(Limpet(programs, ports, programs.extra))
        await asyncio.wait_for(play(limpet, programs.clients, programs.rounds), 180)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except Untrue as error:
        sys.exit(f"not true: {error}")
