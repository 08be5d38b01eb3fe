#!/usr/bin/env python3
"""The drain of one of five servers in the large: Tests/Scenes/drain_scene.py with 2,000 WebSocket clients, shed over 20 s.

    drain.py DIRECTORY [--clients N] [--over S] [--deadline S]

DIRECTORY has limpetd and limpetctl, best of a release build. All that the scene states has to be true; its lines say what was
measured: how long it took, and how many came to the other servers in the busiest second.
"""

import argparse
import os
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--over", type=int, default=20)
    parser.add_argument("--deadline", type=int, default=40)
    options = parser.parse_args()
    sources = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    scene = os.path.join(sources, "Tests", "Scenes", "drain_scene.py")
    command = [sys.executable, scene]
    for program in ["limpetd", "limpetctl"]:
        command += [f"--{program}", os.path.join(options.directory, program)]
    for name in ["clients", "over", "deadline"]:
        command += [f"--{name}", str(getattr(options, name))]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
