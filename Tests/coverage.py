#!/usr/bin/env python3
"""coverage.py DIRECTORY: by module, which share of the lines of Sources the tests ran that `swift test --enable-code-coverage
--scratch-path DIRECTORY` ran last; and the files of which least was run."""
import collections
import json
import pathlib
import shutil
import subprocess
import sys

LEAST = 15


def tool(name):
    """Of the same toolchain as the compiler: the format changes."""
    own = pathlib.Path(shutil.which("swift")).resolve().parent / name
    return str(own) if own.exists() else name


def main():
    built = pathlib.Path(sys.argv[1], "debug")
    binary = next(path for path in built.glob("*PackageTests.xctest") if path.is_file())
    found = subprocess.run(
        [tool("llvm-cov"), "export", "-summary-only", str(binary),
         f"-instr-profile={built / 'codecov' / 'default.profdata'}"], capture_output=True, text=True, check=True)
    sources = pathlib.Path.cwd() / "Sources"
    modules, files = collections.defaultdict(lambda: [0, 0]), []
    for file in json.loads(found.stdout)["data"][0]["files"]:
        path = pathlib.Path(file["filename"])
        if sources not in path.parents:
            continue
        lines = file["summary"]["lines"]
        name = path.relative_to(sources)
        for key in (name.parts[0], "all of it"):
            modules[key][0] += lines["covered"]
            modules[key][1] += lines["count"]
        files.append((lines["count"] - lines["covered"], lines["percent"], name))
    total = modules.pop("all of it")
    for name, (covered, count) in [*sorted(modules.items()), ("all of it", total)]:
        print(f"{name:<20}{covered:>8} of {count:>6} lines{100 * covered / max(1, count):>8.1f} %")
    print("\nlines that were not run, by file:")
    for missing, percent, name in sorted(files, reverse=True)[:LEAST]:
        print(f"{missing:>6}  {percent:5.1f} %  {name}")


if __name__ == "__main__":
    main()
