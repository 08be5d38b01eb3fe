#!/usr/bin/env python3
"""limpet-echo's server, seen by Python's `websockets`: greeting, text, binary, fragments, pings, the closing handshake,
frames out of place, and plain HTTP.

    echo_scene.py LIMPET-ECHO

Exit status: 0 all of it is as it should be; 1 something is not; 2 usage.
"""

import asyncio
import signal
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Frame, Opcode

# The servers take messages of 64 MiB at most.
LIMIT = 64 << 20


def claim(holds, statement):
    if not holds:
        sys.exit(f"not true: {statement}")
    print("ok:", statement, flush=True)


def enter(address):
    return connect(f"ws://{address}/", proxy=None, max_size=None, compression=None)


async def request(address, text):
    """Sends a plain HTTP request that asks for the connection's end; the head and the body of the answer."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{text} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).decode().partition("\r\n\r\n")
    writer.close()
    return head, body


async def closed_with(socket):
    try:
        await asyncio.wait_for(socket.recv(), 10)
    except ConnectionClosedError as error:
        return error.rcvd.code if error.rcvd else None
    return "nothing"


async def play(address):
    async with enter(address) as socket:
        claim(await socket.recv() == "hello from scene", "it greets with its name")
        await socket.send("Grüße, 世界")
        claim(await socket.recv() == "Grüße, 世界", "text comes back as text")
        await socket.send(b"\x00\xff\x80")
        claim(await socket.recv() == b"\x00\xff\x80", "binary comes back as binary")
        await socket.send("")
        claim(await socket.recv() == "", "an empty message comes back")
        await socket.send([b"one ", b"two ", b"", b"three"])
        claim(await socket.recv() == b"one two three", "fragments come back as one message")
        large = bytes(range(256)) * 20_000
        await socket.send(large)
        claim(await socket.recv() == large, "five million bytes come back")
        await asyncio.wait_for(await socket.ping(b"still there?"), 10)
        claim(True, "a ping is answered with its payload")
        await socket.close(4001, "bye")
        claim(socket.close_code == 4001, "the closing handshake repeats the code")

    async with enter(address) as socket:
        await socket.recv()
        await socket.close()
        claim(socket.close_code == 1000, "it closes in order")

    async with enter(address) as socket:
        await socket.recv()
        # Behind the library's back, which would not send such a thing.
        frame = Frame(Opcode.CONT, b"out of place").serialize(mask=True)
        socket.transport.write(frame)
        claim(await closed_with(socket) == 1002, "a fragment out of place is a protocol error")

    async with enter(address) as socket:
        await socket.recv()
        half = bytes(LIMIT // 2 + 1)
        await socket.send([half, half])
        claim(await closed_with(socket) == 1009, "a message beyond the limit is too large")

    head, body = await request(address, "GET /anything")
    claim(head.startswith("HTTP/1.1 200 ") and body == "scene\n", "a plain GET is answered with the name")
    head, body = await request(address, "HEAD /")
    claim(head.startswith("HTTP/1.1 200 ") and "content-length: 6" in head and body == "", "a HEAD, without it")
    head, _ = await request(address, "POST /")
    claim(head.startswith("HTTP/1.1 405 ") and "allow: GET, HEAD" in head, "a POST is refused")


async def main(program):
    process = await asyncio.create_subprocess_exec(
        program, "serve", "--name", "scene", stdout=asyncio.subprocess.PIPE)
    try:
        address = (await process.stdout.readline()).decode().strip()
        await asyncio.wait_for(play(address), 60)
        idle = await enter(address)
        process.send_signal(signal.SIGTERM)
        claim(await asyncio.wait_for(process.wait(), 10) == 0, "SIGTERM ends it, open connections or not")
        await idle.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(2)
    asyncio.run(main(sys.argv[1]))
