"""A daemon between the two halves of limpet-checker, for programs that kill, upgrade or break it."""
import glob
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PATIENCE = 30


def wait_for(what, condition, limit=PATIENCE):
    """Returns what `condition` returns as soon as that is true."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit} s in vain for: {what}")
        time.sleep(0.002)


class Checker:
    """limpet-checker; see its --help for the commands."""

    def __init__(self, directory, arguments, backends=2):
        command = [f"{directory}/limpet-checker", *arguments]
        for _ in range(backends):
            command += ["--listen", "127.0.0.1:0"]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, bufsize=1)
        self.backends = self.process.stdout.readline().split()[1:]

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def start(self, addresses):
        self.tell("target " + " ".join(addresses))
        end = time.monotonic() + PATIENCE
        while not select.select([self.process.stdout], [], [], 0.05)[0]:
            if self.said() or time.monotonic() > end:
                raise RuntimeError("not every connection works: " + self.said())
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError("the checker ended: " + self.said())

    def mark(self):
        """The longest time between a question and its answer since the last mark, in ms."""
        self.tell("mark")
        return int(self.process.stdout.readline().split()[1]) / 1000

    def finish(self):
        """The verdict; None where it gave none."""
        try:
            output, _ = self.process.communicate("stop\n", timeout=120)
            return json.loads(output.strip().split("\n")[-1])
        except (subprocess.TimeoutExpired, ValueError, BrokenPipeError):
            return None

    def said(self):
        self.errors.seek(0)
        return self.errors.read()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()


class Daemon:
    """limpetd with services: name to backends, and name to further lines of its table; or with the text of a file, started by
    a command, by two workers where the text does not say how many."""

    def __init__(self, directory, services, lines=None, proxy="off", environment=None, text="", wrapper=()):
        self.bin = directory
        self.place = tempfile.mkdtemp(prefix="limpet-")
        self.control = f"{self.place}/control.sock"
        self.log = f"{self.place}/log"
        with open(f"{self.place}/limpet.toml", "w") as file:
            file.write(text)
            for name, backends in services.items():
                file.write(f'[[service]]\nname = "{name}"\nlisten = "127.0.0.1:0"\nsend-proxy = "{proxy}"\n')
                # The checker waits until nothing moves any more: checks would go on for ever.
                file.write('health = "off"\n')
                file.write((lines or {}).get(name, "") + "\n")
                for number, address in enumerate(backends, 1):
                    file.write(f'[[service.backend]]\nname = "b{number}"\naddress = "{address}"\n')
        command = [*wrapper, f"{directory}/limpetd", "-c", f"{self.place}/limpet.toml", "--control", self.control,
                   "--state-directory", f"{self.place}/state", *([] if "workers =" in text else ["--workers", "2"])]
        if os.geteuid() == 0:
            command += ["--user", "root"]
        with open(self.log, "w") as log:
            # A group of its own, so that keeper and engine can be ended together.
            self.process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL,
                                            env={**os.environ, **(environment or {})}, start_new_session=True)
        wait_for(f"limpetd is ready: {self.said()}", lambda: self.ctl("ready", "-q").returncode == 0
                 or self.process.poll() is not None)
        self.addresses = [row["address"] for row in self.ask("listeners")["listeners"]]

    def ctl(self, *arguments):
        return subprocess.run([f"{self.bin}/limpetctl", "--control", self.control, *arguments],
                              capture_output=True, text=True, timeout=PATIENCE)

    def ask(self, *arguments):
        answer = self.ctl("--json", *arguments)
        if answer.returncode != 0:
            raise RuntimeError(f"limpetctl {' '.join(arguments)}: {answer.stderr}{self.said()}")
        return json.loads(answer.stdout)

    def engine(self):
        """The engine's process id; None while there is none."""
        pid = self.process.pid
        if self.process.poll() is not None:
            # A guard has become the keeper.
            answer = self.ctl("--json", "status")
            return json.loads(answer.stdout)["engine_pid"] if answer.returncode == 0 else None
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                for child in map(int, file.read().split()):
                    with open(f"/proc/{child}/stat") as stat:
                        name, rest = stat.read().rsplit(")", 1)
                        # A guard is the keeper's child as well, for a moment.
                        if rest.split()[0] != "Z" and not name.endswith("-guard"):
                            return child
        except OSError:
            pass
        return None

    def lives(self):
        """Whether anything of it runs: in the end the keeper may be another process than the one that was started."""
        for stat in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(stat) as file:
                    fields = file.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[2]) == self.process.pid and fields[0] != "Z":
                return True
        return False

    def kill_engine(self):
        """Ends the engine by SIGKILL. Returns its process id."""
        while True:
            engine = wait_for("there is an engine", self.engine)
            try:
                os.kill(engine, signal.SIGKILL)
                return engine
            except ProcessLookupError:
                continue

    def said(self):
        with open(self.log) as file:
            return file.read()

    def close(self):
        """Ends it. Returns its exit status."""
        self.process.terminate()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = None
        # Whoever is left of the group was broken on purpose.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        shutil.rmtree(self.place, ignore_errors=True)
        return status
