#!/usr/bin/env python3
"""Limpet beside a direct connection, HAProxy and nginx: the same load on each in turn, several rounds, medians.

    bench.py --limpetd PATH --load PATH [--hashpick PATH] [--python PATH] [--rounds N] [--seconds S]
             [--only NAME[,NAME]...] [--proxies NAME[,NAME]...]

Prints tables, and last what is to be reached and whether it is; writes every single round to --json. Exit status: 0
everything was measured, whatever came out; 1 something could not be measured; 2 usage.
"""
import argparse
import fnmatch
import json
import resource
import sys
import time

# Nothing is left beside the sources.
sys.dont_write_bytecode = True
import catalogue
import machine
import proxies
from processes import Interruptions, Unmeasured
from report import Results, plain_table, report
from workloads import Bench


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limpetd", required=True)
    parser.add_argument("--load", required=True, help="the load generator, from Benchmarks/load")
    parser.add_argument("--hashpick", help="limpet-hashpick, for the workload hashpick")
    parser.add_argument("--python", default=sys.executable,
                        help="an interpreter that has the package websockets, for the workload websocket")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2, help="of one measurement (2)")
    parser.add_argument("--warmup", type=float, help="seconds before each that do not count (a quarter of --seconds)")
    parser.add_argument("--only", default="", help=f"workloads, or patterns of them: {', '.join(catalogue.ALL)}")
    parser.add_argument("--proxies", default="", help="those to compare: direct, limpetd, limpetd-lists, limpetd-affinity, "
                        "limpetd-source, haproxy, haproxy-auto, "
                        "haproxy-splice, haproxy-tuned, nginx, or patterns")
    parser.add_argument("--workers", default="1,2", help="numbers of workers (1,2)")
    parser.add_argument("--direction", choices=["down", "up"], default="down",
                        help="of bulk: from the server to the client, or to the server (down)")
    parser.add_argument("--json", default="bench.json")
    options = parser.parse_args()
    if options.warmup is None:
        options.warmup = options.seconds / 4
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds must be 1 or more, --seconds above 0")
    options.workloads = choose(parser, options.only, catalogue.ALL, catalogue.named)
    available = {proxy.name: proxy for proxy in proxies.all_proxies(options.limpetd)}
    options.proxies = choose(parser, options.proxies, list(available), available.get)
    options.workers = [int(word) for word in options.workers.split(",")]
    return options


def choose(parser, text, names, find):
    """The things that a list of names and patterns means; all where it is empty."""
    chosen = []
    for word in text.split(",") if text else ["*"]:
        matching = fnmatch.filter(names, word) or ([word] if find(word) else [])
        if not matching:
            parser.error(f"{word!r} is none of {', '.join(names)}")
        chosen += [name for name in matching if name not in chosen]
    return [find(name) for name in chosen]


def settings(workload, chosen, workers):
    """(proxy, workers) for each measurement of a round."""
    chosen = [proxy for proxy in chosen if (workload.is_direct or proxy.has_workers)
              and (workload.is_bulk or not proxy.is_for_bulk)
              and (workload.name == "churn" or not proxy.is_for_churn)
              and (workload.only is None or proxy.name in workload.only)]
    return [(proxy, number) for number in workers for proxy in chosen
            if number == 1 or (workload.scales and proxy.has_workers)]


def play(options, about, results, complaints):
    bench = Bench(options.load, options.python, options.hashpick, options.seconds, options.warmup,
                  options.direction == "up")
    for number in range(options.rounds):
        for workload in options.workloads:
            every = settings(workload, options.proxies, options.workers)
            # Each comes first once, so that none always follows the same one.
            first = number % len(every) if every else 0
            for proxy, workers in every[first:] + every[:first]:
                progress(f"round {number + 1} of {options.rounds}: {workload.title}: {proxy.title}, {workers}")
                try:
                    results.add(number + 1, workload.name, proxy.name, workers, workload.measure(bench, proxy, workers))
                except (Unmeasured, OSError) as reason:
                    complaints.append(f"{workload.name}, {proxy.name}, {workers} workers, round {number + 1}: {reason}")
        save(options.json, about, results, complaints)
        if not sys.stderr.isatty():
            print(f"bench: round {number + 1} of {options.rounds} done", file=sys.stderr, flush=True)
    progress("")


def save(path, about, results, complaints):
    with open(path, "w") as file:
        json.dump({"machine": about, "rounds": results.rounds, "complaints": complaints}, file, indent=1)


def progress(text):
    """What is going on, on a line that the next one takes the place of; for people only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main():
    options = arguments()
    Interruptions.watch()
    # Of everything that is started from here on.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    about = machine.describe(options.limpetd)
    print("Measured on")
    for name, value in about.items():
        print(f"  {name:13} {value}")
    complaints = [f"{proxy.name}: {reason}" for proxy in options.proxies if (reason := proxy.available())]
    options.proxies = [proxy for proxy in options.proxies if not proxy.available()]
    results, begun = Results(), time.monotonic()
    try:
        # What cannot be written in the end is better known before.
        save(options.json, about, results, complaints)
        play(options, about, results, complaints)
    except KeyboardInterrupt:
        complaints.append("interrupted: what was measured until then follows")
    print(f"\n{options.rounds} rounds of {options.seconds:g} s in {time.monotonic() - begun:.0f} s, medians.")
    print(report(results, catalogue.titles(workload.name for workload in options.workloads), plain_table,
                 is_whole=not options.only and not options.proxies))
    save(options.json, about, results, complaints)
    print(f"Every round: {options.json}")
    for complaint in complaints:
        print(f"bench: not measured: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
