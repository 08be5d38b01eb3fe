"""The workloads by name. `bulkN`, `pingpongSxN` and `idleN` take any size and number."""
import re

import proxies
from footprints import HashPick, Idle, Start
from workloads import Bulk, Churn, Mixed, PingPong, WebSocket

ALL = ["bulk1", "bulk16",
       *(f"pingpong{size}x{connections}" for size in (64, 1024, 8192) for connections in (1, 100, 1000)),
       "mixed", "churn", "websocket", "idle2000", "idle8000", "start", "hashpick"]

PATTERNS = {
    r"bulk(\d+)": Bulk,
    r"pingpong(\d+)x(\d+)": PingPong,
    r"idle(\d+)": Idle,
    r"mixed": Mixed,
    r"churn": Churn,
    r"websocket": WebSocket,
    r"start": Start,
    r"hashpick": HashPick,
}


def named(name):
    """The workload of this name; None where there is none."""
    for pattern, kind in PATTERNS.items():
        match = re.fullmatch(pattern, name)
        if match and all(int(number) > 0 for number in match.groups()):
            return kind(*map(int, match.groups()))
    return None


def titles(names):
    """Of these workloads and of all proxies, in the order of tables."""
    ordered = sorted(set(names), key=lambda name: (ALL.index(name) if name in ALL else len(ALL), name))
    return {"workloads": {name: named(name).title for name in ordered},
            "proxies": {proxy.name: proxy.title for proxy in proxies.all_proxies("")}}
