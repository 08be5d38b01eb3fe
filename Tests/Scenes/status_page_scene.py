#!/usr/bin/env python3
"""The status page in a real browser: Debian's chromium without a screen, by its DevTools protocol.

Three WebSocket servers, limpetd before them, and clients that come while the page is open. The page has to show the live
figures, follow a change, show a drain and the end of it, and name a service without a backend; without a word on the
console, without a request to anybody but the daemon, and with every control and every picture named for a screen reader.
Screenshots are kept: light, dark, and as wide as a telephone.

    status_page_scene.py --limpetd PATH --limpetctl PATH --browser PATH --pictures DIRECTORY

Says what it finds, line by line. Exit status: 0 all of it is true; 1 something is not, or could not be tried; 2 usage.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import urllib.parse

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

# Nothing is left beside the sources.
sys.dont_write_bytecode = True
from websockets_scene import NAMES, QUIET, Limpet, Untrue, claim, echo, enter

# The page is told something every two seconds.
PATIENCE = 60
# So many may have it open.
PAGES = 16


class WithPage(Limpet):
    """A limpetd with a status page."""

    def __init__(self, programs, ports):
        super().__init__(programs, {}, [])
        self.ports = ports
        self.file = os.path.join(self.directory, "limpet.toml")
        self.write(True)
        position = self.arguments.index("--listen")
        self.arguments[position : position + 2] = ["-c", self.file]

    def write(self, has_page):
        text = f'metrics = "127.0.0.1:0"\nstatus-page = {str(has_page).lower()}\n\n'
        text += '[[service]]\nname = "chat"\nlisten = "127.0.0.1:0"\n'
        for name in NAMES:
            text += f'\n[[service.backend]]\nname = "{name}"\naddress = "127.0.0.1:{self.ports[name]}"\n'
        with open(self.file, "w") as written:
            written.write(text)


class Browser:
    """A chromium with one page, and what that has said and asked for."""

    def __init__(self, program):
        self.program = program
        self.directory = tempfile.mkdtemp(prefix="limpet-browser-")
        self.number = 0
        self.answers = {}
        self.words = []
        self.requests = []
        self.process = None
        self.reader = None

    async def __aenter__(self):
        flags = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={self.directory}", "--no-first-run"]
        flags += ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync"]
        flags += ["--disable-component-update", "--disable-default-apps", "--no-proxy-server"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")
        try:
            self.process = await asyncio.create_subprocess_exec(
                self.program, *flags, "about:blank", stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True)
            place = os.path.join(self.directory, "DevToolsActivePort")
            await self.until(lambda: os.path.exists(place) and len(open(place).read().split()) == 2, "the browser starts")
            port, path = open(place).read().split()
            self.socket = await connect(f"ws://127.0.0.1:{port}{path}", proxy=None, max_size=None, **QUIET)
            self.reader = asyncio.create_task(self.read())
            target = (await self.ask("Target.createTarget", url="about:blank"))["targetId"]
            attached = await self.ask("Target.attachToTarget", targetId=target, flatten=True)
            self.session = attached["sessionId"]
            for domain in ["Runtime", "Log", "Page", "Network", "Accessibility"]:
                await self.page(f"{domain}.enable")
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, kind, error, traceback):
        if self.reader is not None:
            self.reader.cancel()
            await self.socket.close()
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 10)
            except asyncio.TimeoutError:
                self.process.kill()
                await self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    async def read(self):
        async for text in self.socket:
            message = json.loads(text)
            if "id" in message:
                self.answers.pop(message["id"]).set_result(message)
                continue
            method, what = message["method"], message["params"]
            if method == "Runtime.consoleAPICalled":
                self.words.append(f"{what['type']}: {[value.get('value') for value in what['args']]}")
            elif method == "Runtime.exceptionThrown":
                self.words.append(f"exception: {what['exceptionDetails']}")
            elif method == "Log.entryAdded":
                self.words.append(f"{what['entry']['level']}: {what['entry']['text']}")
            elif method == "Network.requestWillBeSent":
                self.requests.append(what["request"]["url"])

    async def ask(self, method, session=None, **parameters):
        self.number += 1
        self.answers[self.number] = asyncio.get_running_loop().create_future()
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        answer = self.answers[self.number]
        await self.socket.send(json.dumps(message))
        result = await asyncio.wait_for(answer, PATIENCE)
        if "error" in result:
            raise Untrue(f"the browser does {method} ({result['error']})")
        return result["result"]

    async def page(self, method, **parameters):
        return await self.ask(method, self.session, **parameters)

    async def value(self, expression):
        """What an expression is worth in the page."""
        result = await self.page("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise Untrue(f"{expression} can be told ({result['exceptionDetails']})")
        return result["result"].get("value")

    async def until(self, holds, statement):
        """Waits until something holds: an expression of the page, or a function."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while not (await self.value(f"!!({holds})") if isinstance(holds, str) else holds()):
            if asyncio.get_running_loop().time() > end:
                raise Untrue(statement)
            await asyncio.sleep(0.1)
        claim(True, statement)

    async def picture(self, path):
        answer = await self.page("Page.captureScreenshot", format="png", captureBeyondViewport=False)
        data = base64.b64decode(answer["data"])
        with open(path, "wb") as file:
            file.write(data)
        claim(data[:4] == b"\x89PNG" and len(data) > 5000, f"a picture of {len(data)} bytes: {os.path.basename(path)}")

    async def form(self, width, height, scheme):
        await self.page(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        await self.page("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


def row(name):
    return f"[...document.querySelectorAll('tbody tr')].find(tr => tr.dataset.key === '{name}')"


def cell(name, number):
    return f"{row(name)}?.children[{number}]?.textContent"


async def check_names(browser):
    """Every control and picture has a name, every table cell a header."""
    tree = (await browser.page("Accessibility.getFullAXTree"))["nodes"]
    nameless = []
    for node in tree:
        role = node.get("role", {}).get("value")
        if node.get("ignored") or role not in ["button", "link", "img", "image", "progressbar", "region", "table"]:
            continue
        if role != "table" and not node.get("name", {}).get("value"):
            nameless.append(role)
    claim(nameless == [], "every button, link, picture, bar and region has a name for a screen reader")
    headers = await browser.value("[...document.querySelectorAll('table')].every(t => t.querySelector('th[scope=col]'))")
    claim(headers, "every table has headers")


async def check_keys(browser):
    """Tab goes through what can be used, beginning with the way past the head."""
    seen = []
    for _ in range(5):
        for kind in ["keyDown", "keyUp"]:
            await browser.page("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        seen.append(await browser.value("document.activeElement.className || document.activeElement.tagName"))
    claim(seen[:3] == ["skip", "BUTTON", "scroll"], f"the key Tab goes from one thing to the next: {', '.join(seen)}")


async def fill(address):
    """Opens the page as often as it may be: the streams, and whether they are all there are."""
    host, port = address.rsplit(":", 1)
    streams = [await asyncio.open_connection(host, int(port)) for _ in range(PAGES)]
    answers = []
    for reader, writer in streams:
        writer.write(f"GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        answers.append(await reader.readline())
    return streams, all(b" 200 " in answer for answer in answers)


async def check_refusals(limpet, browser, address):
    """A browser gives up where the answer is a refusal; the page does not, and says what it is."""
    summary = "document.getElementById('summary').textContent"
    is_full = False
    while not is_full:
        limpet.write(False)
        await limpet.ctl("reload")
        os.kill((await limpet.ctl("status"))["engine_pid"], signal.SIGKILL)
        await browser.until(f"{summary}.startsWith('The status page is switched off')", "it says that it is switched off")
        limpet.write(True)
        await limpet.ctl("reload")
        # The page may have been among the first: once more, then.
        streams, is_full = await fill(address)
        if is_full:
            await browser.until(
                f"{summary}.startsWith('Refused: the page is open {PAGES} times')", "it says that there are too many")
        for _, writer in streams:
            writer.close()
    frozen = await browser.value("document.body.dataset.time")
    await browser.until(
        f"document.body.dataset.time > '{frozen}' && {summary}.includes(' connections, up ')",
        "it goes on by itself when it may")


async def play(limpet, browser, pictures):
    status = await limpet.ctl("status")
    await browser.form(1100, 900, "light")
    await browser.page("Page.navigate", url=f"http://{status['metrics']}/")
    await browser.until(f"{row('ws1')} && {row('ws2')} && {row('ws3')}", "the page shows every backend")

    sockets = [await enter(limpet.url, f"127.{1 + i % 4}.{i // 8}.{10 + i}") for i in range(24)]
    landed = {name: sum(1 for _, at in sockets if at == name) for name in NAMES}
    shown = " && ".join(f"{cell(name, 2)} === '{landed[name]}'" for name in NAMES)
    await browser.until(shown, f"it follows: {landed}, without being asked")
    await browser.until(
        "document.querySelectorAll('#overview figure').length === 4 && "
        "[...document.querySelectorAll('#overview .line')].every(line => line.getAttribute('d'))",
        "its charts have lines")
    await browser.until("document.title === 'Limpet: 24 connections'", "its title says how many there are")
    await check_names(browser)
    await check_keys(browser)
    await browser.picture(os.path.join(pictures, "light.png"))

    await limpet.ctl("drain", NAMES[0], "--grace", "1h", "--rate", "1/s")
    await browser.until(
        f"{cell(NAMES[0], 1)}?.startsWith('draining') && !document.getElementById('drains-section').hidden",
        "it shows the drain")
    left = [socket for socket, at in sockets if at == NAMES[0]]
    for socket in left[1:]:
        await socket.close()
    await browser.until(
        f"document.querySelector('#drains li')?.textContent.includes('{NAMES[0]}: 1 connection left')"
        " && document.querySelector('#drains progress').value > 0.3"
        " && document.querySelector('#drains li').textContent.includes('closing begins in')",
        "it shows how far the drain has come, and what is next")
    await browser.form(1100, 900, "dark")
    await browser.picture(os.path.join(pictures, "dark.png"))
    await left[0].close()
    await browser.until(
        f"{cell(NAMES[0], 1)}?.startsWith('drained') && document.getElementById('drains-section').hidden",
        "it shows that the drain is over")
    await browser.until(
        "document.querySelectorAll('#events li time').length > 0", "it lists what has happened")

    await browser.form(390, 844, "light")
    wide = await browser.value("document.documentElement.scrollWidth")
    claim(wide <= 390, "on a telephone nothing has to be pushed aside")
    await browser.picture(os.path.join(pictures, "telephone.png"))

    for name in NAMES[1:]:
        await limpet.ctl("drain", name, "--force")
    await browser.until(
        "[...document.querySelectorAll('[role=alert]')].some(p => !p.hidden)", "it says that no backend is up")

    await browser.value("document.getElementById('pause').click()")
    frozen = await browser.value("document.body.dataset.time")
    await limpet.ctl("undrain", NAMES[0])
    await browser.until(f"latest.time !== '{frozen}' && latest.time > '{frozen}'", "it is told more while it is paused")
    claim(await browser.value("document.body.dataset.time") == frozen, "paused it stays as it is")
    await browser.value("document.getElementById('pause').click()")
    await browser.until(f"document.body.dataset.time > '{frozen}'", "and then it goes on")

    claim(browser.words == [], f"nothing was said on the console {browser.words}")
    hosts = {urllib.parse.urlsplit(url).netloc for url in browser.requests if not url.startswith(("data:", "about:"))}
    claim(hosts == {status["metrics"]}, "nobody was asked but the daemon")

    await check_refusals(limpet, browser, status["metrics"])
    for socket, _ in sockets:
        await socket.close()


async def main():
    parser = argparse.ArgumentParser(description="The status page in a browser.")
    parser.add_argument("--limpetd", required=True, help="path of the daemon")
    parser.add_argument("--limpetctl", required=True, help="path of limpetctl")
    parser.add_argument("--browser", required=True, help="path of chromium")
    parser.add_argument("--pictures", required=True, help="directory of the screenshots")
    programs = parser.parse_args()
    os.makedirs(programs.pictures, exist_ok=True)

    async with contextlib.AsyncExitStack() as stack:
        ports = {}
        for name in NAMES:
            server = await stack.enter_async_context(
                serve(lambda socket, name=name: echo(name, socket), "127.0.0.1", 0, **QUIET))
            ports[name] = server.sockets[0].getsockname()[1]
        limpet = await stack.enter_async_context(WithPage(programs, ports))
        browser = await stack.enter_async_context(Browser(programs.browser))
        await asyncio.wait_for(play(limpet, browser, programs.pictures), 300)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except Untrue as error:
        sys.exit(f"not true: {error}")
