"""Starting and ending what a measurement needs, and the conversation with the load programs."""
import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import time

PATIENCE = 20


class Unmeasured(Exception):
    """Something could not be measured; the text says what and why."""


class Interruptions:
    """SIGINT and SIGTERM, as KeyboardInterrupt; never while something is started or ended, but right after it."""

    held, pending = 0, False

    @classmethod
    def watch(cls):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, cls.arrive)

    @classmethod
    def arrive(cls, *_):
        if cls.held:
            cls.pending = True
        else:
            raise KeyboardInterrupt

    @classmethod
    @contextlib.contextmanager
    def hold(cls):
        cls.held += 1
        try:
            yield
        finally:
            cls.held -= 1
        if cls.pending and not cls.held:
            cls.pending = False
            raise KeyboardInterrupt


class Child:
    """A process in a session of its own, so that a Ctrl-C reaches the bench alone, which then ends things in order."""

    def __init__(self, command, directory, name):
        self.name = name
        self.log = pathlib.Path(directory, f"{name}.log")
        self.begun = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True)

    def said(self):
        return self.log.read_text(errors="replace").strip()[-2000:]

    def line(self, patience=PATIENCE):
        """The next line of its output."""
        end = time.monotonic() + patience
        text = b""
        while not text.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise Unmeasured(f"{self.name} said nothing for {patience:.0f} s. {self.said()}")
            # One byte at a time: nothing must stay in a buffer where select does not see it.
            byte = os.read(self.process.stdout.fileno(), 1)
            if not byte:
                raise Unmeasured(f"{self.name} ended with status {self.process.wait(PATIENCE)}. {self.said()}")
            text += byte
        return text.decode().strip()

    def answer(self, patience=PATIENCE):
        """The object on the next line."""
        line = self.line(patience)
        try:
            return json.loads(line)
        except ValueError:
            raise Unmeasured(f"{self.name} says {line!r}. {self.said()}") from None

    def go(self):
        try:
            self.process.stdin.write(b"go\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It has ended; its answer will be why.

    def family(self):
        """Its process id and those of all its descendants."""
        return family(self.process.pid)

    def end(self):
        """Asks it to end, and sees that nothing of it stays."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        members = self.family()
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        # What is left of its session did not obey. (limpetd's engine would start another keeper if it were not ended.)
        if any(alive(member) for member in members):
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process.stdout.close()


def family(pid):
    found = [pid]
    for member in found:
        for children in pathlib.Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                pass
    return found


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Cast:
    """All processes of one measurement, in a directory of their own. Leaving it ends them, the youngest first."""

    def __init__(self, programs):
        self.programs = programs
        self.children = []

    def __enter__(self):
        self.place = tempfile.TemporaryDirectory(prefix="limpet-bench-", ignore_cleanup_errors=True)
        self.directory = self.place.name
        # nginx's workers may belong to another user.
        os.chmod(self.directory, 0o755)
        return self

    def __exit__(self, *_):
        with Interruptions.hold():
            for child in reversed(self.children):
                child.end()
            self.place.cleanup()

    def start(self, command, name):
        with Interruptions.hold():
            child = Child(command, self.directory, f"{name}-{len(self.children)}")
            self.children.append(child)
        return child

    def end(self, child):
        with Interruptions.hold():
            self.children.remove(child)
            child.end()

    def serve(self, role, listeners, *options):
        """One of the servers that `programs` names, and its addresses."""
        server = self.start([*self.programs[role], "--listeners", listeners, *options], role)
        return server, [f"127.0.0.1:{port}" for port in server.answer()["ports"]]

    def client(self, role, addresses, *options):
        return self.start([*self.programs[role], "--to", ",".join(addresses), *options], role)
