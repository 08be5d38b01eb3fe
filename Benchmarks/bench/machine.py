"""What is measured on."""
import os
import pathlib
import platform
import re
import subprocess

from proxies import find


def first_line(command):
    """The first line of what a command prints on either stream; None where it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout + done.stderr).strip().split("\n")[0] or None


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().split("\n"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def describe(limpetd):
    """By name, for people and machines."""
    hypervisor = "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text()
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
    versions = {
        "limpetd": first_line([limpetd, "--version"]),
        "haproxy": first_line([find("haproxy") or "haproxy", "-v"]),
        "nginx": first_line([find("nginx") or "nginx", "-v"]),
    }
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "processor": processor() + (", virtual machine" if hypervisor else ""),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**20, 1),
        "load_before": os.getloadavg()[0],
        **{name: version or "not installed" for name, version in versions.items()},
    }
