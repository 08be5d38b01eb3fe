"""The proxies that are compared: how each is configured and started.

All of them are given the same: a listening address for each service, its backends, a consistent hash of the client's
address to choose by, no access log, long time limits, room for 8,000 connections. What is not named here is each
program's default.
"""
import os
import pathlib
import resource
import shutil
import socket
import time

from processes import PATIENCE, Unmeasured

# Not 127.0.0.1: ports that the kernel gives to connections meanwhile belong to that.
ADDRESS = "127.0.0.2"
# HAProxy wants two descriptors for each connection and each pipe of its limits, and some more, or does not start.
PIPES = 1024
CONNECTIONS = min(8192, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 2 * PIPES - 500) // 2)


def find(program):
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def free_port():
    """A port that nothing listens on. It stays free only as long as nobody else takes it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((ADDRESS, 0))
        return probe.getsockname()[1]


class Proxy:
    """A proxy in one setting. `name` is its key in the machine-readable results."""

    has_workers = True
    # Whether it differs from the others in bulk only, and need not be measured elsewhere.
    is_for_bulk = False
    # The same of what connections cost.
    is_for_churn = False

    def __init__(self, name, title):
        self.name, self.title = name, title

    def available(self):
        """Why it cannot be run here; None where it can."""
        return None

    def start(self, cast, workers, services):
        """`services`: name to the addresses of its backends; the one called echo echoes. Returns the process and, by
        service, where to connect, once each has been seen to work."""
        for attempt in range(3):
            addresses = {service: f"{ADDRESS}:{free_port()}" for service in services}
            child = cast.start(self.command(cast.directory, workers, services, addresses), self.name)
            if serves(child, addresses):
                return child, {service: [address] for service, address in addresses.items()}
            reason = child.said()
            cast.end(child)
        raise Unmeasured(f"{self.name} does not start: {reason}")

    def files(self):
        """What it consists of on the disk, shared libraries aside."""
        return []

    def command(self, directory, workers, services, addresses):
        """The command. Whatever it reads is written into the directory."""
        raise NotImplementedError


def echoes(address):
    """One byte there and back on a connection of its own."""
    with connection(address) as client:
        client.sendall(b"x")
        if client.recv(1) != b"x":
            raise ConnectionResetError(f"no echo from {address}")


def stays(address):
    """For services that do not echo: the connection carries something, or is not closed at once."""
    with connection(address) as client:
        client.settimeout(0.1)
        try:
            if not client.recv(1):
                raise ConnectionResetError(f"{address} closes its connections")
        except TimeoutError:
            pass


def connection(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def serves(child, addresses):
    """Waits until all services work; False where the process has ended instead.

    That a connection is taken proves little: a program may bind once to see whether it can, and reset what has come until
    it binds for good.
    """
    end = time.monotonic() + PATIENCE
    for service, address in addresses.items():
        while True:
            try:
                (echoes if service == "echo" else stays)(address)
                break
            except (ConnectionRefusedError, ConnectionResetError) as reason:
                if child.process.poll() is not None:
                    return False
                if time.monotonic() > end:
                    raise Unmeasured(f"{child.name} does not serve: {reason}. {child.said()}") from reason
                time.sleep(0.0002)
    return True


class Direct(Proxy):
    """No proxy: the clients connect to the backends. Its process is the server's, its CPU time that of one hop."""

    has_workers = False

    def __init__(self):
        super().__init__("direct", "direct")

    def start(self, cast, workers, services):
        return None, dict(services)


class HAProxy(Proxy):
    def __init__(self, name, title, options, pipe_size=None):
        super().__init__(name, title)
        self.options, self.pipe_size = options, pipe_size
        self.is_for_bulk = pipe_size is not None

    def available(self):
        return None if find("haproxy") else "haproxy is not installed"

    def files(self):
        return [find("haproxy")]

    def command(self, directory, workers, services, addresses):
        lines = ["global", f"  nbthread {workers}", f"  maxconn {CONNECTIONS}", f"  maxpipes {PIPES}",
                 *([f"  tune.pipesize {self.pipe_size}"] if self.pipe_size else []),
                 "defaults", "  mode tcp", f"  maxconn {CONNECTIONS}", "  backlog 4096", "  balance source",
                 "  hash-type consistent", "  timeout connect 5s", "  timeout client 1h", "  timeout server 1h",
                 *(f"  option {option}" for option in self.options)]
        for service, backends in services.items():
            lines += [f"listen {service}", f"  bind {addresses[service]}"]
            lines += [f"  server b{number} {backend}" for number, backend in enumerate(backends, 1)]
        file = pathlib.Path(directory, "haproxy.cfg")
        file.write_text("\n".join(lines) + "\n")
        return [find("haproxy"), "-db", "-f", file]


class Nginx(Proxy):
    # Where there is none, the module may be built in.
    MODULES = [file for file in ("/usr/lib/nginx/modules/ngx_stream_module.so", "/usr/lib64/nginx/modules/"
                                 "ngx_stream_module.so") if os.path.exists(file)][:1]

    def __init__(self):
        super().__init__("nginx", "nginx stream")

    def available(self):
        return None if find("nginx") else "nginx is not installed"

    def files(self):
        return [find("nginx"), *self.MODULES]

    def command(self, directory, workers, services, addresses):
        lines = [f"load_module {module};" for module in self.MODULES]
        if os.geteuid() == 0:
            lines += ["user root;"]
        lines += ["daemon off;", f"worker_processes {workers};", f"pid {directory}/nginx.pid;",
                  "error_log stderr crit;",
                  f"events {{ worker_connections {2 * CONNECTIONS + 512}; }}", "stream {", "access_log off;",
                  "proxy_connect_timeout 5s;", "proxy_timeout 1h;"]
        for service, backends in services.items():
            lines += [f"upstream {service} {{ hash $remote_addr consistent;",
                      *(f"server {backend};" for backend in backends), "}",
                      f"server {{ listen {addresses[service]} backlog=4096; proxy_pass {service}; }}"]
        file = pathlib.Path(directory, "nginx.conf")
        file.write_text("\n".join(lines + ["}"]) + "\n")
        return [find("nginx"), "-p", directory, "-e", "stderr", "-c", file]


class Limpet(Proxy):
    """With `networks`, it has an access list of so many, none of which is the client's."""

    def __init__(self, limpetd, name="limpetd", title="limpetd", settings=(), networks=0):
        super().__init__(name, title)
        self.limpetd, self.settings, self.networks = limpetd, settings, networks
        self.is_for_churn = name != "limpetd"

    def available(self):
        return None if os.access(self.limpetd, os.X_OK) else f"{self.limpetd} is not built"

    def files(self):
        return [self.limpetd]

    def command(self, directory, workers, services, addresses):
        settings = list(self.settings)
        if self.networks:
            denied = pathlib.Path(directory, "denied.txt")
            denied.write_text("".join(f"{1 + n % 120}.{n // 120 % 256}.{n // 30720}.0/24\n" for n in range(self.networks)))
            settings.append(f'deny = ["@{denied}"]')
        lines = []
        for service, backends in services.items():
            lines += ["[[service]]", f'name = "{service}"', f'listen = "{addresses[service]}"', *settings]
            for number, backend in enumerate(backends, 1):
                lines += ["[[service.backend]]", f'name = "b{number}"', f'address = "{backend}"']
        file = pathlib.Path(directory, "limpet.toml")
        file.write_text("\n".join(lines) + "\n")
        command = [self.limpetd, "-c", file, "--workers", workers, "--control", f"{directory}/control.sock",
                   "--state-directory", f"{directory}/state"]
        return command + (["--user", "root"] if os.geteuid() == 0 else [])


def all_proxies(limpetd):
    return [
        Direct(),
        Limpet(limpetd),
        Limpet(limpetd, "limpetd-lists", "limpetd, 100,000 networks denied", networks=100_000),
        Limpet(limpetd, "limpetd-affinity", "limpetd, affinity", ['affinity = "30m"']),
        Limpet(limpetd, "limpetd-source", "limpetd, from an address of its own", ['source = "127.0.0.9"']),
        HAProxy("haproxy", "HAProxy, default", []),
        HAProxy("haproxy-auto", "HAProxy, splice-auto", ["splice-auto"]),
        HAProxy("haproxy-splice", "HAProxy, splice forced", ["splice-request", "splice-response"]),
        HAProxy("haproxy-tuned", "HAProxy, splice forced, 1 MiB pipes", ["splice-request", "splice-response"], 1 << 20),
        Nginx(),
    ]
