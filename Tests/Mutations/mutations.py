#!/usr/bin/env python3
"""Breaks limpetd on purpose, one rule at a time, and sees whether the checker notices.

    mutations.py SOURCE WORK [NAME...]

SOURCE is the repository; everything is built in WORK, from a copy. Each Tests/Mutations/*.patch is applied to the copy,
built, and run under limpet-checker while its engines die; the unbroken build goes through the same first. A patch begins
with lines of what it is about:

    Rule: which rule of the module's it breaks
    Inject: POINT/RATE      engines die at one in RATE passes of that point (Sources/CContinuity/include/inject.h)
    Kills: N                engines are killed at random moments instead
    Deaths: N               how many deaths are enough (30)
    Seconds: N              run for so long at least
    Load: ...               options of limpet-checker
    Proxy: v1 or v2         with this header to the backends
    Header: v1 or v2        with this header from the clients
    Environment: NAME=VALUE...
    Expect: KIND...         faults of which one must be found; any where the line is missing
    Never: KIND...          faults that must not be among them

Exit status: 0 every broken build was caught and the unbroken one never; 1 otherwise.
"""
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

from stage import Checker, Daemon, wait_for

# A direction with small buffers is always in its pipe or in the scratch.
LINES = {"narrow": 'send-buffer = "16KiB"\nreceive-buffer = "64KiB"'}
TRIES = 4
SECONDS = 40


def synchronise(source, tree):
    """Makes `tree` equal to the sources; what is equal already keeps its time, so that little has to be built again."""
    wanted = set()
    for top in ["Package.swift", "Package.resolved", "Sources", "Tests", "Benchmarks"]:
        path = source / top
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        for file in files:
            name = file.relative_to(source)
            wanted.add(name)
            copy = tree / name
            content = file.read_bytes()
            if not copy.exists() or copy.read_bytes() != content:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
    for file in [file for file in tree.rglob("*") if file.is_file()]:
        if file.relative_to(tree) not in wanted:
            file.unlink()


def build(tree, scratch, *products):
    for product in products:
        command = ["swift", "build", "--scratch-path", str(scratch), "--product", product]
        result = subprocess.run(command, cwd=tree, capture_output=True, text=True)
        if result.returncode != 0:
            errors = [line for line in result.stdout.split("\n") if "error:" in line]
            raise RuntimeError(f"{product} does not build: " + "\n".join(errors[:5] or result.stderr.split("\n")[-5:]))


def apply(patch, tree):
    # Not in the repository around it: the copy is outside of version control.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    result = subprocess.run(["git", "apply", "-C1", str(patch)], cwd=tree, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{patch.name} no longer applies: {result.stderr.strip()}")


class Mutation:
    def __init__(self, path):
        self.path = path
        self.name = path.stem
        head = path.read_text().split("\ndiff ", 1)[0]
        self.fields = dict(re.findall(r"^(\w+): *(.*)$", head, re.M))

    def words(self, field):
        return self.fields.get(field, "").split()

    @property
    def scenario(self):
        return tuple(self.fields.get(field, "") for field in ["Inject", "Kills", "Deaths", "Seconds", "Load", "Proxy", "Header",
                                                           "Environment"])


def points(source):
    text = (source / "Sources/CContinuity/include/inject.h").read_text()
    return re.findall(r"^ *LIMPET_AT_(\w+),", text, re.M)


def play(binaries, names, scenario, seed):
    """Runs a build once. Returns the faults that were found, by kind, and how many engines died."""
    inject, kills, deaths, seconds, load, proxy, header, settings = scenario
    environment = {"LIMPET_BACKOFF": "off", **dict(setting.split("=", 1) for setting in settings.split())}
    if inject:
        point, rate = inject.split("/")
        environment["LIMPET_INJECT"] = f"{names.index(point)}/{rate}"
    options = ["--talk", "12", "--bulk", "2", "--slow", "4", "--churn", "150", "--rate", "300", "--bulk-rate", "2000000",
               "--seed", str(seed), "--patience", "8", *load.split()]
    checker = Checker(binaries, options + ["--proxy", proxy or "none", "--header", header or "none"])
    daemon = None
    try:
        services = {"wide": checker.backends, "narrow": checker.backends}
        lines = LINES
        if header:
            accept = 'accept-proxy = ["127.0.0.0/8"]\n' + ('send-proxy-tlvs = ["received"]\n' if proxy == "v2" else "")
            lines = {name: accept + LINES.get(name, "") for name in services}
        daemon = Daemon(binaries, services, lines, proxy or "off", environment)
        checker.start(daemon.addresses)
        begun = time.monotonic()
        count = play_deaths(daemon, checker, int(kills or 0), int(deaths or 30), random.Random(seed))
        while time.monotonic() < begun + int(seconds or 0) and not checker.said():
            time.sleep(0.1)
        verdict = checker.finish()
        faults = found(verdict, checker, daemon)
        return faults, count
    except (RuntimeError, TimeoutError, OSError) as error:
        return {f"failed: {error}"[:200]: 1}, 0
    finally:
        checker.close()
        if daemon:
            daemon.close()


def play_deaths(daemon, checker, kills, wanted, dice):
    end = time.monotonic() + SECONDS
    for _ in range(kills):
        time.sleep(dice.uniform(0, 0.06))
        killed = daemon.kill_engine()
        wait_for("there is another engine", lambda: daemon.engine() not in (None, killed))
    if kills:
        return kills
    count = 0
    while count < wanted and time.monotonic() < end and checker.process.poll() is None:
        time.sleep(0.1)
        count = daemon.said().count("injected death at point")
        # Who has found a fault has found it: no more deaths are needed.
        if checker.said():
            break
    return count


def found(verdict, checker, daemon):
    if verdict is None:
        return {"no verdict": 1}
    kinds = ["lost", "stuck", "doubled", "resets", "resets_as_ends", "short", "skipped", "repeated", "foreign", "corrupt",
             "headers"]
    faults = {kind: verdict[kind] for kind in kinds if verdict[kind]}
    if not daemon.lives():
        faults["daemon ended"] = 1
    if not faults:
        try:
            wait_for("no connection is left", lambda: daemon.ask("status")["connections"] == 0, 10)
        except (TimeoutError, RuntimeError):
            faults["connections left"] = 1
    return faults


def judge(mutation, faults):
    """Whether the faults are those that the mutation was to cause."""
    expected = mutation.words("Expect")
    if any(kind in faults for kind in mutation.words("Never")):
        return False
    return any(kind in faults for kind in expected) if expected else bool(faults)


def main():
    source, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    tree, scratch = work / "tree", work / "build"
    mutations = [Mutation(path) for path in sorted((source / "Tests/Mutations").glob("*.patch"))]
    if sys.argv[3:]:
        mutations = [mutation for mutation in mutations if mutation.name in sys.argv[3:]]
    synchronise(source, tree)
    binaries = scratch / "debug"
    build(tree, scratch, "limpetd", "limpetctl", "limpet-checker")
    names = points(source)
    bad = 0
    sound = {}
    for scenario in dict.fromkeys(mutation.scenario for mutation in mutations):
        faults, deaths = play(binaries, names, scenario, 1)
        sound[scenario] = faults
        bad += bool(faults)
        print(f"{'unbroken':34} {' '.join(filter(None, scenario))[:40]:40} {deaths:3} deaths: {text(faults)}", flush=True)
    for mutation in mutations:
        synchronise(source, tree)
        apply(mutation.path, tree)
        build(tree, scratch, "limpetd")
        for attempt in range(TRIES):
            faults, deaths = play(binaries, names, mutation.scenario, attempt + 2)
            caught = judge(mutation, faults)
            if caught:
                break
        bad += not caught
        verdict = "caught" if caught else "NOT CAUGHT"
        print(f"{mutation.name:34} {mutation.fields.get('Rule', '')[:40]:40} {deaths:3} deaths: {verdict}: {text(faults)}",
              flush=True)
    synchronise(source, tree)
    print(f"{len(mutations)} broken builds; " + ("all caught" if bad == 0 else f"{bad} are not as they have to be"))
    sys.exit(1 if bad else 0)


def text(faults):
    return ", ".join(f"{kind} {count}" for kind, count in faults.items()) or "nothing found"


if __name__ == "__main__":
    main()
