#!/usr/bin/env python3
"""What checks cost: one limpetd in front of many backends, the processor time of its engine over a while.

  checks.py --limpetd PATH --limpetctl PATH [--backends N] [--interval D] [--type tcp|http] [--seconds S]

The backends are addresses of 127.0.0.0/8 at one server, a child of this script, which answers every request and
whose own time is not counted. Prints the share of one core."""
import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time


def serve(listener, answers):
    """Answers one connection after the other, until the parent ends."""
    while True:
        connection, _ = listener.accept()
        try:
            if answers:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        except OSError:
            pass
        connection.close()


def ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limpetd", required=True)
    parser.add_argument("--limpetctl", required=True)
    parser.add_argument("--backends", type=int, default=1000)
    parser.add_argument("--interval", default="2s")
    parser.add_argument("--type", choices=["tcp", "http", "off"], default="tcp")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()

    listener = socket.create_server(("0.0.0.0", 0), backlog=4096)
    port = listener.getsockname()[1]
    server = os.fork()
    if server == 0:
        serve(listener, options.type == "http")
    listener.close()
    with tempfile.TemporaryDirectory() as directory:
        kind = {"tcp": '"tcp"', "http": '"http:/"', "off": '"off"'}[options.type]
        lines = ["[[service]]", 'name = "many"', 'listen = "127.0.0.1:0"', f"health = {kind}",
                 f'health-interval = "{options.interval}"']
        for number in range(options.backends):
            address = f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}:{port}"
            lines += ["[[service.backend]]", f'name = "b{number}"', f'address = "{address}"']
        with open(f"{directory}/limpet.toml", "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        control = f"{directory}/control.sock"
        command = [options.limpetd, "-c", f"{directory}/limpet.toml", "--control", control, "--state-directory",
                   f"{directory}/state", "--workers", "1", "--log-level", "warning"]
        if os.geteuid() == 0:
            command += ["--user", "root"]
        daemon = subprocess.Popen(command)
        try:
            ask = [options.limpetctl, "--control", control, "--json"]
            while subprocess.run(ask + ["ready", "-q"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
                if daemon.poll() is not None:
                    sys.exit("limpetd has ended")
                time.sleep(0.1)
            engine = json.loads(subprocess.check_output(ask + ["status"]))["engine_pid"]
            time.sleep(3)
            start, used = time.monotonic(), ticks(engine)
            time.sleep(options.seconds)
            share = (ticks(engine) - used) / (time.monotonic() - start)
            rows = json.loads(subprocess.check_output(ask + ["backends"]))["backends"]
            up = sum(row["state"] == "up" for row in rows)
            print(f"{options.backends} backends, {options.type} every {options.interval}: "
                  f"{100 * share:.1f} % of one core; {up} up")
        finally:
            daemon.terminate()
            daemon.wait()
            os.kill(server, 9)
            os.waitpid(server, 0)


if __name__ == "__main__":
    main()
