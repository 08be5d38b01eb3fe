#!/usr/bin/env python3
"""A WebSocket outlives the process, seen by servers and clients that were written elsewhere: Python's `websockets`.

One WebSocket is opened before all of it. Then the engine is killed (SIGKILL), limpetd is upgraded, and its configuration is
reloaded, with one server more and another weight. After each the WebSocket echoes, text and a megabyte of binary, and
another can be opened.

    continuity_scene.py --limpetd PATH --limpetctl PATH

Says what it finds, line by line. Exit status: 0 all of it is true; 1 something is not, or could not be tried; 2 usage.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys

from websockets.asyncio.server import serve

# Nothing is left beside the sources.
sys.dont_write_bytecode = True
from websockets_scene import QUIET, Limpet, Untrue, claim, echo, enter, visit

NAMES = ["ws1", "ws2", "ws3"]
SOURCE = "127.1.0.10"


class Configured(Limpet):
    """A limpetd with a file and an executable of its own, which can be replaced."""

    def __init__(self, programs, ports):
        super().__init__(programs, {}, [])
        self.ports = ports
        self.file = os.path.join(self.directory, "limpet.toml")
        self.executable = os.path.join(self.directory, "limpetd")
        shutil.copy(programs.limpetd, self.executable)
        programs.limpetd = self.executable
        self.write(NAMES[:2], {})
        position = self.arguments.index("--listen")
        self.arguments[position : position + 2] = ["-c", self.file]

    def write(self, names, weights):
        text = '[[service]]\nname = "chat"\nlisten = "127.0.0.1:0"\n'
        for name in names:
            text += f'\n[[service.backend]]\nname = "{name}"\naddress = "127.0.0.1:{self.ports[name]}"\n'
            text += f"weight = {weights.get(name, 1)}\n"
        with open(self.file, "w") as file:
            file.write(text)


async def echoes(socket, after):
    for message in [f"still there after {after}?", os.urandom(1 << 20)]:
        await socket.send(message)
        if await asyncio.wait_for(socket.recv(), 30) != message:
            raise Untrue(f"after {after} the WebSocket hears its own words")
    claim(True, f"after {after} the WebSocket echoes")


async def play(limpet):
    socket, home = await enter(limpet.url, SOURCE)
    await echoes(socket, "the opening")
    before = await limpet.ctl("status")
    (row,) = (await limpet.ctl("connections"))["connections"]

    os.kill(before["engine_pid"], signal.SIGKILL)
    await echoes(socket, "kill -9")
    killed = await limpet.ctl("status")
    claim(killed["engine_pid"] != before["engine_pid"] and killed["last_death"], "another engine has taken over")
    claim(await visit(limpet.url, SOURCE) == home, "and the client comes home")

    shutil.copy(limpet.executable, limpet.executable + ".new")
    os.replace(limpet.executable + ".new", limpet.executable)
    report = await limpet.ctl("upgrade")
    claim(report["state"] == "serving" and report["connections"] == 1, "an upgrade keeps 1 connection")
    await echoes(socket, "an upgrade")
    upgraded = await limpet.ctl("status")
    claim(upgraded["engine_pid"] != killed["engine_pid"] and upgraded["pid"] == before["pid"], "the process is the same")
    claim(await visit(limpet.url, SOURCE) == home, "and the client comes home")

    limpet.write(NAMES, {home: 3})
    changes = (await limpet.ctl("reload"))["changes"]
    claim(len(changes) == 2, "a reload adds a server and changes a weight")
    await echoes(socket, "a reload")
    names = [backend["name"] for backend in (await limpet.ctl("backends"))["backends"]]
    claim(names == NAMES, "the new server is there")
    claim(await visit(limpet.url, SOURCE) == home, "and the client comes home")

    rows = (await limpet.ctl("connections"))["connections"]
    ours = [other for other in rows if other["id"] == row["id"]]
    claim(len(ours) == 1 and ours[0]["age_seconds"] > row["age_seconds"], "it is the same connection, and older")
    await socket.close()
    claim(socket.close_code == 1000, "it ends in order")


async def main():
    parser = argparse.ArgumentParser(description="A WebSocket through kill -9, an upgrade and a reload.")
    parser.add_argument("--limpetd", required=True, help="path of the daemon")
    parser.add_argument("--limpetctl", required=True, help="path of limpetctl")
    programs = parser.parse_args()
    # Debug builds are slow to start on a busy machine, and this is not about milliseconds; others do not look.
    os.environ["LIMPET_UPGRADE_PATIENCE"] = "20000"

    async with contextlib.AsyncExitStack() as stack:
        ports = {}
        for name in NAMES:
            server = await stack.enter_async_context(
                serve(lambda socket, name=name: echo(name, socket), "127.0.0.1", 0, **QUIET))
            ports[name] = server.sockets[0].getsockname()[1]
        limpet = await stack.enter_async_context(Configured(programs, ports))
        await asyncio.wait_for(play(limpet), 120)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except Untrue as error:
        sys.exit(f"not true: {error}")
