"""What the storm and the measurement of abuse share: a daemon, an echo server behind it, and somebody who waits for answers."""
import contextlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Benchmarks" / "bench"))
sys.path.insert(0, str(ROOT / "Tests" / "Mutations"))
from stage import Daemon, wait_for  # noqa: E402,F401
from processes import Cast, Interruptions, Unmeasured  # noqa: E402,F401
from network import own_network  # noqa: E402,F401


def service(name, backends, *lines, listen="127.0.0.1:0"):
    """A service's part of a configuration. Backends are pairs of name and address."""
    text = ["[[service]]", f'name = "{name}"', f'listen = "{listen}"', 'health = "off"', *lines]
    for backend, address in backends:
        text += ["[[service.backend]]", f'name = "{backend}"', f'address = "{address}"']
    return "\n".join(text) + "\n"


class Asker:
    """Somebody with a few connections who asks a thousand times a second and waits for each answer."""

    def __init__(self, cast, address, connections=4):
        self.child = cast.client(
            "paced", [address], "--connections", connections, "--seconds", 3600, "--limit", 7200, "--wait")
        self.child.line()
        self.cast = cast

    def begin(self):
        self.child.go()

    def finish(self):
        """What it has seen, in microseconds."""
        self.child.process.stdin.close()
        answer = self.child.answer()
        self.cast.children.remove(self.child)
        self.child.process.wait()
        self.child.process.stdout.close()
        return answer


@contextlib.contextmanager
def asking(cast, address, found):
    """Asks meanwhile; what was seen goes into `found`."""
    asker = Asker(cast, address)
    asker.begin()
    yield
    found.update(asker.finish())


def memory(pid):
    """Bytes of a process's own memory; what it shares with others does not count."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024


def descriptors(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def row(name, figures):
    """A line of a table of waiting times."""
    cells = "".join(f"{figures[key] / 1000:>10.3f}" for key in ("p50_us", "p99_us", "p999_us", "max_us"))
    return f"{name:<44}{cells}{figures['messages']:>10}"


HEAD = f"{'answers in ms, asked meanwhile':<44}{'p50':>10}{'p99':>10}{'p99.9':>10}{'longest':>10}{'asked':>10}"
