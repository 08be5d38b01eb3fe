#!/usr/bin/env python3
"""WebSocket echo with a library that was written elsewhere: both ends, as the load programs are.

    websocket_peers.py server --listeners N
    websocket_peers.py client --to ADDRESS:PORT[,...] --connections N --bytes N --seconds S --warmup S --sources N

The server prints its ports and ends with its input; the client says "ready", begins with the next line of input, and
prints one JSON object.
"""
import argparse
import asyncio
import json
import statistics
import sys
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

# Compression would measure zlib; pings would come between.
PLAIN = {"compression": None, "ping_interval": None}


async def server(options):
    async def echo(peer):
        async for message in peer:
            await peer.send(message)

    servers = [await serve(echo, "127.0.0.1", 0, **PLAIN) for _ in range(options.listeners)]
    print(json.dumps({"ports": [each.sockets[0].getsockname()[1] for each in servers]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for each in servers:
        each.close()


async def play(peers, size, seconds):
    """Each asks and waits for the answer, again and again. Returns the times of all answers."""
    times, message = [], "x" * size
    end = time.perf_counter() + seconds

    async def ask(peer):
        begun = time.perf_counter()
        while begun < end:
            await peer.send(message)
            if len(await peer.recv()) != size:
                raise RuntimeError("not what was sent")
            now = time.perf_counter()
            times.append(now - begun)
            begun = now

    await asyncio.gather(*map(ask, peers))
    return times


async def client(options):
    targets = options.to.split(",")
    peers = [await connect(f"ws://{targets[number % len(targets)]}/", proxy=None,
                           local_addr=(f"127.1.0.{1 + number % options.sources}", 0), **PLAIN)
             for number in range(options.connections)]
    await play(peers, options.bytes, options.warmup)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu, begun = time.process_time(), time.perf_counter()
    times = await play(peers, options.bytes, options.seconds)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    quantiles = statistics.quantiles(times, n=100)
    print(json.dumps({"messages": len(times), "seconds": seconds, "messages_per_second": len(times) / seconds,
                      "p50_us": quantiles[49] * 1e6, "p99_us": quantiles[98] * 1e6, "cpu_seconds": cpu}), flush=True)
    for peer in peers:
        await peer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("role", choices=["server", "client"])
    parser.add_argument("--listeners", type=int, default=1)
    parser.add_argument("--to")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=64)
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--warmup", type=float, default=0.2)
    options = parser.parse_args()
    asyncio.run(server(options) if options.role == "server" else client(options))


if __name__ == "__main__":
    main()
