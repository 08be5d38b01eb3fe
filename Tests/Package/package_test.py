#!/usr/bin/env python3
"""The package in a bare Debian: what an administrator does with it, from the installation to the purge.

In a copy of the system that --debian names (made by debootstrap), in namespaces of its own:

  * installed: the user is there, the example is valid, and nothing runs;
  * started with the example: a WebSocket is forwarded, a drain moves its clients;
  * upgraded to another version, and to a broken one that is refused: the WebSocket stays open, what was drained stays so;
  * the configuration that was changed is kept;
  * removed: the daemon has ended, configuration and state are there;
  * purged, also while it runs: the system is what it was before.

There is no systemd; limpetd is started by hand. Says what it finds, line by line. Exit status: 0 all of it is true; 1
something is not, or could not be tried; 2 usage. For root. Nothing is left of it: all of it lies in memory, and ends with
the namespace.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake

INSIDE = "LIMPET_PACKAGE_INSIDE"
# Those of the example.
BACKENDS = {"ws1": 9001, "ws2": 9002, "ws3": 9003}
URL = "ws://127.0.0.1:8080/"
CONFIGURATION = "etc/limpet/limpet.toml"
CONTROL = "/run/limpet/control.sock"
QUIET = {"ping_interval": None, "compression": None}
# Accounts are compared by what is in them: their tools rewrite the files, and keep the last of each.
ACCOUNTS = ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"]
# What dpkg itself writes down, the lock of adduser, and what is not of the file system.
PASSED_OVER = ["proc", "dev", "sys", "tmp", "run/adduser", "var/lib/dpkg", "var/log/dpkg.log"]


class Untrue(Exception):
    """A statement of the test does not hold."""


def claim(holds, statement, detail=""):
    if not holds:
        raise Untrue(f"{statement}\n{detail}".rstrip())
    print("ok:", statement, flush=True)


class Debian:
    """A system to change at will."""

    def __init__(self, base, directory):
        layers = {name: directory / name for name in ("upper", "work", "root")}
        for layer in layers.values():
            layer.mkdir()
        self.root = layers["root"]
        options = f"lowerdir={base},upperdir={layers['upper']},workdir={layers['work']}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.root], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", self.root / "proc"], check=True)

    def command(self, *words):
        return ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C",
                "chroot", str(self.root), *words]

    def run(self, *words, status=0):
        """Runs a command in it and returns what it wrote, to both."""
        done = subprocess.run(
            self.command(*words), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=180)
        if done.returncode != status:
            raise Untrue(f"{' '.join(words)}: exit status {done.returncode}:\n{done.stdout}")
        return done.stdout

    async def dpkg(self, *words):
        """dpkg, while connections go on. It must never fail."""
        return await asyncio.to_thread(self.run, "dpkg", *words)

    def lay_in(self, package):
        shutil.copy(package, self.root / "tmp" / package.name)
        return f"/tmp/{package.name}"

    def files(self):
        """What there is: kind, mode and owner of each path."""
        found = {}
        passed_over = {self.root / path for path in PASSED_OVER}
        for directory, names, files in os.walk(self.root):
            here = pathlib.Path(directory)
            names[:] = [name for name in names if here / name not in passed_over]
            for name in names + files:
                path = here / name
                if path in passed_over or (here == self.root / "etc" and name.endswith("-")):
                    continue
                entry = path.lstat()
                content = ""
                if stat.S_ISREG(entry.st_mode):
                    content = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path.relative_to(self.root))] = (entry.st_mode, entry.st_uid, entry.st_gid, content)
        return found

    def daemons(self):
        """The daemons that run here, by their numbers; the namespace has no others. What has ended has no executable."""
        found = []
        for directory in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if pathlib.Path(os.readlink(directory / "exe")).name.startswith("limpetd"):
                    found.append(int(directory.name))
        return found


class Daemon:
    """limpetd, started by hand as a service manager would."""

    def __init__(self, debian, *arguments, control=CONTROL):
        self.debian = debian
        self.control = control
        self.arguments = arguments or ["-c", f"/{CONFIGURATION}"]
        if control != CONTROL:
            self.arguments = [*self.arguments, "--control", control, "--state-directory", f"{control}.state"]

    async def __aenter__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = await asyncio.create_subprocess_exec(
            *self.debian.command("limpetd", *self.arguments), stdin=asyncio.subprocess.DEVNULL, stdout=self.log,
            stderr=self.log)
        try:
            async with asyncio.timeout(30):
                ready = self.debian.command("limpetctl", "--control", self.control, "ready", "-q")
                while subprocess.run(ready, check=False).returncode != 0:
                    if self.process.returncode is not None:
                        raise Untrue(f"limpetd starts:\n{self.text()}")
                    await asyncio.sleep(0.05)
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, kind, error, traceback):
        if self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 15)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        if kind is not None:
            print(self.text(), file=sys.stderr)
        self.log.close()

    async def has_ended(self):
        async with asyncio.timeout(30):
            return await self.process.wait()

    def ctl(self, *words):
        return json.loads(self.debian.run("limpetctl", "--json", "--control", self.control, *words))

    def text(self):
        self.log.seek(0)
        return self.log.read()


@contextlib.asynccontextmanager
async def backends():
    """Echo servers that begin with their name."""
    async with contextlib.AsyncExitStack() as stack:
        for name, port in BACKENDS.items():
            async def echo(socket, name=name):
                await socket.send(name)
                with contextlib.suppress(ConnectionClosed):
                    async for message in socket:
                        await socket.send(message)
            await stack.enter_async_context(serve(echo, "127.0.0.1", port, **QUIET))
        yield


class Talk:
    """A WebSocket on which somebody says something all the time."""

    def __init__(self):
        self.said = 0
        self.longest = 0.0

    async def __aenter__(self):
        self.socket = await connect(URL, **QUIET)
        self.backend = await self.socket.recv()
        self.task = asyncio.create_task(self.go_on())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
            await self.task
        await self.socket.close()

    async def go_on(self):
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            await self.socket.send(str(self.said))
            if await self.socket.recv() != str(self.said):
                raise Untrue("what comes back is what was said")
            self.longest = max(self.longest, loop.time() - asked)
            self.said += 1
            await asyncio.sleep(0.005)

    async def has_gone_on(self):
        """Whether it answers, now and a hundred times more."""
        goal = self.said + 100
        async with asyncio.timeout(30):
            while self.said < goal and not self.task.done():
                await asyncio.sleep(0.01)
        return not self.task.done()


async def who_answers():
    async with connect(URL, **QUIET) as socket:
        return await socket.recv()


def broken(debian, package):
    """The same package, of a later version and with a daemon that does nothing."""
    directory = debian.root / "tmp/broken"
    result = debian.root / "tmp/broken.deb"
    subprocess.run(["dpkg-deb", "-R", package, directory], check=True)
    shutil.copy(debian.root / "bin/false", directory / "usr/sbin/limpetd")
    control = directory / "DEBIAN/control"
    lines = control.read_text().splitlines()
    version = next(line for line in lines if line.startswith("Version: "))
    control.write_text("\n".join(version + "+broken" if line is version else line for line in lines) + "\n")
    (directory / "DEBIAN/md5sums").unlink()
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", directory, result], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(directory)
    return "/tmp/broken.deb"


def version_of(package):
    version = subprocess.run(
        ["dpkg-deb", "-f", package, "Version"], check=True, text=True, capture_output=True).stdout.strip()
    return version.rpartition("-")[0]


async def test(debian, arguments):
    package, following = debian.lay_in(arguments.package), debian.lay_in(arguments.next)
    old, new = version_of(arguments.package), version_of(arguments.next)
    claim(old != new, f"version {old} is to be followed by {new}")
    accounts = {path: (debian.root / path).read_text() for path in ACCOUNTS}
    before = debian.files()

    await debian.dpkg("-i", package)
    claim(debian.run("dpkg", "--verify", "limpet") == "", "the package is installed, every file as it was packed")
    user = debian.run("getent", "passwd", "limpet").strip()
    claim(user.endswith(":/usr/sbin/nologin") and 0 < int(user.split(":")[2]) < 1000, f"there is a user: {user}")
    claim(not debian.daemons(), "nothing was started")
    debian.run("limpetd", "--check", "-c", f"/{CONFIGURATION}")
    claim(old in debian.run("limpetd", "--version"), f"the shipped example is valid, for version {old}")

    configuration = debian.root / CONFIGURATION
    with configuration.open("a") as file:
        file.write("\n# Changed by hand.\n")
    written = configuration.read_text()
    async with (
        backends(), Daemon(debian) as daemon,
        # An instance as limpet@two would be, and one of which the package cannot know.
        Daemon(debian, "--listen", "127.0.0.1:8090", "--backend", "127.0.0.1:9001",
               control="/run/limpet-two/control.sock") as second,
        Daemon(debian, "--listen", "127.0.0.1:8091", "--backend", "127.0.0.1:9001",
               control="/tmp/hidden/control.sock") as hidden,
    ):
        pid = daemon.ctl("status")["pid"]
        status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
        claim(f"Uid:\t{user.split(':')[2]}\t" in status, "the daemon has become the user limpet")
        async with Talk() as talk:
            claim(await talk.has_gone_on(), f"a WebSocket is forwarded to {talk.backend}")
            debian.run("limpetctl", "drain", talk.backend)
            elsewhere = await who_answers()
            claim(elsewhere != talk.backend, f"{talk.backend} is draining, and who connects gets to {elsewhere}")

            said = await debian.dpkg("-i", following)
            claim(f"{old} → {new}" in said, f"the package of version {new} says what became of the daemon", said)
            claim(await talk.has_gone_on(), "the WebSocket stays open over the upgrade")
            claim(second.ctl("version")["version"] == new, "another instance was upgraded, too")
            others = next((line for line in said.splitlines() if "of the version before" in line), "")
            claim(f" {hidden.process.pid} " in others.replace(";", " ") and f" {pid} " not in others,
                  "one whose control socket is elsewhere is named", said)
            hidden.ctl("upgrade")
            claim(daemon.ctl("version")["version"] == new, f"version {new} serves")
            claim(daemon.ctl("status")["pid"] == pid == daemon.process.pid, "its process is the same")
            states = {row["name"]: row["state"] for row in daemon.ctl("backends")["backends"]}
            claim(states[talk.backend] == "draining", "what was draining still does")
            claim(configuration.read_text() == written, "the configuration that was changed is kept")

            said = await debian.dpkg("-i", broken(debian, arguments.next))
            claim("the daemon goes on in the version that it is" in said,
                  "a version that does not work is refused, and dpkg does not fail by it", said)
            claim(await talk.has_gone_on() and daemon.ctl("version")["version"] == new,
                  f"version {new} serves on, with the WebSocket")
            await debian.dpkg("-i", following)
            debian.run("limpetctl", "undrain", talk.backend)
            claim(await talk.has_gone_on() and daemon.ctl("status")["pid"] == pid,
                  "and takes over from itself once the package is whole again")
            print(f"    {talk.said} messages back and forth, {talk.longest * 1000:.0f} ms the longest", flush=True)

            await debian.dpkg("-r", "limpet")
            ended = [await each.has_ended() for each in (daemon, second, hidden)]
            claim(ended == [0, 0, 0] and not debian.daemons(), "removed: all three daemons have ended in good order",
                  f"exit status {ended}, {debian.daemons()} run")
            await asyncio.wait([talk.task], timeout=10)
            claim(isinstance(talk.task.exception(), ConnectionClosed), "the WebSocket is closed")
        claim(configuration.read_text() == written and (debian.root / "var/lib/limpet").is_dir(),
              "configuration and state are there")
        left = [path for path in debian.files() if "limpet" in path and path not in before]
        expected = {"etc/limpet", CONFIGURATION, "etc/needrestart/conf.d/limpet.conf"}
        claim(all(path in expected or path.startswith(("var/lib/limpet", "run/limpet")) for path in left),
              "and nothing else of the package", str(left))

    await debian.dpkg("-i", package)
    (debian.root / "etc/limpet/hash.key").write_text("00112233445566778899aabbccddeeff\n")
    claim(configuration.read_text() == written, "installed again, it finds the configuration that was changed")
    async with backends(), Daemon(debian) as daemon:
        claim(await who_answers() in BACKENDS, "and works with it")
        await debian.dpkg("-P", "limpet")
        claim(await daemon.has_ended() == 0 and not debian.daemons(), "purged while it runs: the daemon has ended")
    with contextlib.suppress(InvalidHandshake, OSError, ConnectionClosed):
        await who_answers()
        raise Untrue("nobody listens any more")
    after = debian.files()
    for path in ACCOUNTS:
        claim((debian.root / path).read_text() == accounts[path], f"/{path} is what it was")
    known = [path for path in (debian.root / "var/lib/dpkg/info").iterdir() if path.name.startswith("limpet")]
    changed = sorted(path for path in before.keys() | after.keys()
                     if before.get(path) != after.get(path) and path not in ACCOUNTS)
    claim(not changed and not known, f"purged: all of {len(before)} files and directories are what they were",
          "\n".join(changed + [str(path) for path in known]))


def enter_namespaces(base):
    """Once more, where the network, the processes and the mounts are its own."""
    if os.geteuid() != 0:
        sys.exit("package_test: this is for root: it changes into another system")
    if not (base / "usr/bin/dpkg").exists():
        sys.exit(f"package_test: {base}: there is no Debian; make one with debootstrap")
    os.environ[INSIDE] = "1"
    namespaces = ["unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    os.execvp("unshare", [*namespaces, sys.executable, "-B", *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--debian", type=pathlib.Path, required=True, help="a system made by debootstrap")
    parser.add_argument("--package", type=pathlib.Path, required=True)
    parser.add_argument("--next", type=pathlib.Path, required=True, help="of another version")
    arguments = parser.parse_args()
    if INSIDE not in os.environ:
        enter_namespaces(arguments.debian)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["mount", "-t", "tmpfs", "limpet", directory], check=True)
        try:
            debian = Debian(arguments.debian.resolve(), pathlib.Path(directory))
            asyncio.run(asyncio.wait_for(test(debian, arguments), 600))
        except (Untrue, TimeoutError, subprocess.SubprocessError) as error:
            print(f"NOT TRUE: {error or type(error).__name__}", file=sys.stderr)
            return 1
        finally:
            subprocess.run(["umount", "-l", directory], check=False)
    return 0


sys.exit(main())
