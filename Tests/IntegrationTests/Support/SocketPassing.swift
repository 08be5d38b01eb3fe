/// Starts a daemon with sockets, as systemd does (sd_listen_fds(3)).
enum SocketPassing {
    /// Reads `NAME=KIND:HOST:PORT`, or `NAME=unix:PATH:0`, … before `--` and executes what follows. The process id stays.
    /// TEST_CLIENTS_FIRST in the environment: at so many of the sockets, from the first on, it waits until there is a client.
    private static let script = """
        import os, select, socket, sys
        end = sys.argv.index("--")
        files, names = [], []
        for text in sys.argv[1:end]:
            name, rest = text.split("=", 1)
            kind, rest = rest.split(":", 1)
            host, port = rest.rsplit(":", 1)
            family = socket.AF_UNIX if kind == "unix" else socket.AF_INET6 if ":" in host else socket.AF_INET
            file = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
            file.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            file.bind(host if kind == "unix" else (host, int(port)))
            if kind in ("tcp", "unix"):
                file.listen(4096)
            files.append(file)
            names.append(name)
        places = [os.dup(file.fileno()) for file in files]
        places = [os.dup2(place, 50 + index) for index, place in enumerate(places)]
        for index, place in enumerate(places):
            os.dup2(place, 3 + index, inheritable=True)
        for index in range(int(os.environ.get("TEST_CLIENTS_FIRST", "0"))):
            # One that waits in the queue is there for as long as nobody accepts it.
            select.select([files[index]], [], [])
        os.environ["LISTEN_FDS"] = os.environ.get("TEST_LISTEN_FDS", str(len(files)))
        os.environ["LISTEN_PID"] = str(os.getpid() + int(os.environ.get("TEST_PID_OFF", "0")))
        os.environ["LISTEN_FDNAMES"] = ":".join(names)
        os.closerange(3 + len(files), 200)
        os.execvp(sys.argv[end + 1], sys.argv[end + 1:])
        """

    /// A wrapper for ``Daemon/Setup``.
    static func wrapper(_ sockets: String...) -> [String] { ["python3", "-c", script] + sockets + ["--"] }
}
