"""What is asked of each proxy. A workload measures one proxy once and returns its figures by name."""
import re

from measure import Meter
from processes import Cast

# Four backends for each service; the clients come from so many addresses, which the hash spreads over them.
BACKENDS = 4
SOURCES = 200


class Bench:
    """How long, and with which programs."""

    def __init__(self, load, seconds, warmup, upstream):
        self.load, self.seconds, self.warmup, self.upstream = load, seconds, warmup, upstream

    def bulk_options(self):
        return ["--upstream"] if self.upstream else []

    def timing(self):
        return ["--seconds", self.seconds, "--warmup", self.warmup, "--sources", SOURCES, "--wait"]


class Workload:
    """Load between clients and servers for so many seconds, while CPU time is counted."""

    # Whether it is also run with two workers.
    scales = False
    servers = {"echo": "echo-server"}

    def __init__(self, name, title):
        self.name, self.title = name, title

    def clients(self, bench, cast, addresses):
        raise NotImplementedError

    def figures(self, answers, used):
        """From what the clients answered, and CPU seconds by group (proxy, servers, clients, system)."""
        raise NotImplementedError

    def measure(self, bench, proxy, workers):
        with Cast(bench.load) as cast:
            backends, servers = {}, []
            for service, role in self.servers.items():
                options = bench.bulk_options() if role == "bulk-server" else []
                server, backends[service] = cast.serve(role, BACKENDS, *options)
                servers.append(server)
            process, addresses = proxy.start(cast, workers, backends)
            clients = self.clients(bench, cast, addresses)
            for client in clients:
                if client.line() != "ready":
                    raise AssertionError(f"{client.name} is not ready")
            serving = [pid for server in servers for pid in server.family()]
            # Without a proxy the server stands in its place, for a floor: a hop costs what the server costs.
            meter = Meter({"proxy": process.family() if process else serving, "servers": serving})
            meter.begin()
            for client in clients:
                client.go()
            answers = [client.answer(bench.seconds + 30) for client in clients]
            used = meter.end()
            used["clients"] = sum(answer["cpu_seconds"] for answer in answers)
            # What the rest of the machine did meanwhile: much of it, and the round is worth little.
            used["others"] = used["system"] - used["clients"] - used["servers"] - (used["proxy"] if process else 0)
            return {**self.figures(answers, used), "answers": answers, "cpu_seconds": used}


class Bulk(Workload):
    scales = True
    servers = {"bulk": "bulk-server"}

    def __init__(self, connections):
        super().__init__(f"bulk{connections}", f"bulk, {connections} connection{'s' if connections > 1 else ''}")
        self.connections = connections

    def clients(self, bench, cast, addresses):
        return [cast.client("bulk", addresses["bulk"], "--connections", self.connections, *bench.timing(),
                            *bench.bulk_options())]

    def figures(self, answers, used):
        gigabytes = answers[0]["bytes"] / 1e9
        return {"gbit_per_second": answers[0]["gbit_per_second"], "proxy_s_per_gb": used["proxy"] / gigabytes,
                "system_s_per_gb": used["system"] / gigabytes}


class PingPong(Workload):
    scales = True

    def __init__(self, size, connections):
        super().__init__(f"pingpong{size}x{connections}", f"ping-pong, {size} bytes, {connections} connection"
                         + ("s" if connections > 1 else ""))
        self.size, self.connections = size, connections

    def clients(self, bench, cast, addresses):
        return [cast.client("pingpong", addresses["echo"], "--connections", self.connections, "--bytes", self.size,
                            *bench.timing())]

    def figures(self, answers, used):
        messages = answers[0]["messages"]
        return {"messages_per_second": answers[0]["messages_per_second"], "p50_us": answers[0]["p50_us"],
                "p99_us": answers[0]["p99_us"], "proxy_ns": used["proxy"] / messages * 1e9,
                "system_ns": used["system"] / messages * 1e9}


NAMES = [
    (r"bulk(\d+)", lambda match: Bulk(int(match[1]))),
    (r"pingpong(\d+)x(\d+)", lambda match: PingPong(int(match[1]), int(match[2]))),
]

ALL = ["bulk1", "bulk16", *(f"pingpong{size}x{connections}" for size in (64, 1024, 8192)
                            for connections in (1, 100, 1000))]


def named(name):
    """The workload of this name; None where there is none."""
    for pattern, make in NAMES:
        match = re.fullmatch(pattern, name)
        if match:
            return make(match)
    return None
