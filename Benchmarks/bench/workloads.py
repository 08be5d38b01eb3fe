"""Load between clients and servers, for so many seconds, with a proxy between or without one."""
import contextlib

from measure import Meter
from network import own_network
from processes import Cast, Unmeasured

# Four backends for each service; the clients come from so many addresses, which the hash spreads over them.
BACKENDS = 4
SOURCES = 200
# Connections that come and go at a time.
CHURN = 64


class Bench:
    """How long, and with which programs: those of the load by role, and others by name."""

    def __init__(self, load, python, hashpick, seconds, warmup, upstream):
        self.programs = {role: [load, role] for role in
                         ("bulk-server", "bulk", "echo-server", "pingpong", "churn", "idle")}
        peers = [python, "-B", __file__.replace("workloads.py", "websocket_peers.py")]
        self.programs |= {"websocket-server": [*peers, "server"], "websocket": [*peers, "client"]}
        self.hashpick = hashpick
        self.seconds, self.warmup, self.upstream = seconds, warmup, upstream

    def bulk_options(self):
        return ["--upstream"] if self.upstream else []

    def timing(self):
        return ["--seconds", self.seconds, "--warmup", self.warmup, "--sources", SOURCES]


def plural(count, word):
    return f"{count:,} {word}{'' if count == 1 else 's'}"


class Workload:
    """Measures one proxy once; its figures go by name."""

    # Whether it is also run with two workers; whether without a proxy; whether it carries bulk; with which proxies alone,
    # where this is not None.
    scales = False
    is_direct = True
    is_bulk = False
    only = None

    def __init__(self, name, title):
        self.name, self.title = name, title

    def measure(self, bench, proxy, workers):
        raise NotImplementedError


class Load(Workload):
    """Clients and servers that work as fast as they can while CPU time is counted."""

    servers = {"echo": "echo-server"}

    def clients(self, bench, cast, addresses):
        raise NotImplementedError

    def figures(self, answers, used):
        """From what the clients answered, and CPU seconds by group (proxy, servers, clients, system)."""
        raise NotImplementedError

    def surroundings(self):
        return contextlib.nullcontext(False)

    def measure(self, bench, proxy, workers):
        with self.surroundings() as is_alone, Cast(bench.programs) as cast:
            backends, servers = {}, []
            for service, role in self.servers.items():
                options = bench.bulk_options() if role == "bulk-server" else []
                server, backends[service] = cast.serve(role, BACKENDS, *options)
                servers.append(server)
            process, addresses = proxy.start(cast, workers, backends)
            clients = self.clients(bench, cast, addresses)
            for client in clients:
                if (said := client.line()) != "ready":
                    raise Unmeasured(f"{client.name} is not ready but says {said}")
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
            try:
                figures = self.figures(answers, used)
            except ZeroDivisionError:
                raise Unmeasured("nothing came through") from None
            return {**figures, "answers": answers, "cpu_seconds": used, "own_network": is_alone,
                    "others_share": used["others"] / used["system"]}


class Bulk(Load):
    scales = True
    is_bulk = True
    servers = {"bulk": "bulk-server"}

    def __init__(self, connections):
        super().__init__(f"bulk{connections}", f"bulk, {plural(connections, 'connection')}")
        self.connections = connections

    def clients(self, bench, cast, addresses):
        return [cast.client("bulk", addresses["bulk"], "--connections", self.connections, "--wait", *bench.timing(),
                            *bench.bulk_options())]

    def figures(self, answers, used):
        gigabytes = answers[0]["bytes"] / 1e9
        return {"gbit_per_second": answers[0]["gbit_per_second"], "proxy_s_per_gb": used["proxy"] / gigabytes,
                "system_s_per_gb": used["system"] / gigabytes}


def message_figures(answer, used):
    return {"messages_per_second": answer["messages_per_second"], "p50_us": answer["p50_us"],
            "p99_us": answer["p99_us"], "proxy_ns": used["proxy"] / answer["messages"] * 1e9,
            "system_ns": used["system"] / answer["messages"] * 1e9}


class PingPong(Load):
    scales = True

    def __init__(self, size, connections):
        super().__init__(f"pingpong{size}x{connections}",
                         f"ping-pong, {plural(size, 'byte')}, {plural(connections, 'connection')}")
        self.size, self.connections = size, connections

    def clients(self, bench, cast, addresses):
        return [cast.client("pingpong", addresses["echo"], "--connections", self.connections, "--bytes", self.size,
                            "--wait", *bench.timing())]

    def figures(self, answers, used):
        return message_figures(answers[0], used)


class Mixed(Load):
    """Whether bulk gets in the way of small messages."""

    is_bulk = True
    servers = {"echo": "echo-server", "bulk": "bulk-server"}
    BULK = 4

    def __init__(self):
        super().__init__("mixed", f"ping-pong, 64 bytes, 100 connections, beside bulk on {self.BULK}")

    def clients(self, bench, cast, addresses):
        return [cast.client("pingpong", addresses["echo"], "--connections", 100, "--bytes", 64, "--wait",
                            *bench.timing()),
                cast.client("bulk", addresses["bulk"], "--connections", self.BULK, "--wait", *bench.timing(),
                            *bench.bulk_options())]

    def figures(self, answers, used):
        return {"p50_us": answers[0]["p50_us"], "p99_us": answers[0]["p99_us"],
                "messages_per_second": answers[0]["messages_per_second"],
                "gbit_per_second": answers[1]["gbit_per_second"]}


class Churn(Load):
    def __init__(self):
        super().__init__("churn", f"connect, one byte there and back, close; {CHURN} at a time")

    def surroundings(self):
        return own_network()

    def clients(self, bench, cast, addresses):
        return [cast.client("churn", addresses["echo"], "--connections", CHURN, "--wait", *bench.timing())]

    def figures(self, answers, used):
        done, failed = answers[0]["connections"], answers[0]["failed"]
        # A few may fall to a full queue; a proxy that refuses many was not measured.
        if failed > done / 100:
            raise Unmeasured(f"{failed} of {done + failed} connections failed")
        return {"connections_per_second": answers[0]["connections_per_second"], "p99_us": answers[0]["p99_us"],
                "proxy_us": used["proxy"] / done * 1e6, "system_us": used["system"] / done * 1e6}


class WebSocket(Load):
    servers = {"websocket": "websocket-server"}
    CONNECTIONS = 8

    def __init__(self):
        super().__init__("websocket", f"WebSocket echo (Python's websockets), 64 bytes, {self.CONNECTIONS} connections")

    def clients(self, bench, cast, addresses):
        return [cast.client("websocket", addresses["websocket"], "--connections", self.CONNECTIONS, *bench.timing())]

    def figures(self, answers, used):
        return message_figures(answers[0], used)
