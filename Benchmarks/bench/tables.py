#!/usr/bin/env python3
"""The tables of runs that have been made, from the files that bench.py wrote.

    tables.py FILE... [--markdown]

Several files count as one run of all their rounds; that is right only if they were measured on the same machine, one
after the other.
"""
import argparse
import json
import sys

# Nothing is left beside the sources.
sys.dont_write_bytecode = True
import catalogue
from report import Results, markdown_table, plain_table, report


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    rounds = []
    for name in options.files:
        with open(name) as file:
            run = json.load(file)
        print(f"{name}: " + ", ".join(f"{name} {value}" for name, value in run["machine"].items()))
        rounds += run["rounds"]
    print()
    print(report(Results(rounds), catalogue.titles(entry["workload"] for entry in rounds),
                 markdown_table if options.markdown else plain_table, is_whole=False))


if __name__ == "__main__":
    main()
