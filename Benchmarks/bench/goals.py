"""What Limpet is to reach, and whether it does: ratios of medians within one run."""
from dataclasses import dataclass


@dataclass
class Goal:
    what: str
    # A ratio unless `form` says otherwise; None where something it needs was not measured.
    figure: float | None
    limit: float
    at_least: bool = False
    form: str = "{:.2f}×"

    def row(self):
        sign = "≥" if self.at_least else "≤"
        if self.figure is None:
            return [self.what, f"{sign} {self.form.format(self.limit)}", "-", "not measured"]
        return [self.what, f"{sign} {self.form.format(self.limit)}", self.form.format(self.figure),
                "yes" if self.is_met() else "no"]

    def is_met(self):
        return self.figure is not None and (self.figure >= self.limit if self.at_least else self.figure <= self.limit)


def goals(results):
    def median(workload, proxy, figure, workers=1):
        return results.median(workload, proxy, workers, figure)

    def against(workload, proxy, figure, factor=1):
        own, other = median(workload, "limpetd", figure), median(workload, proxy, figure)
        return own / (factor * other) if own is not None and other else None

    def scaling(workload, figure):
        one, two = median(workload, "limpetd", figure), median(workload, "limpetd", figure, workers=2)
        return two / one if one and two is not None else None

    listed = []

    def add(what, figure, limit, **more):
        listed.append(Goal(what, figure, limit, **more))

    for workload, limit in [("bulk1", 1.15), ("bulk16", 1.5)]:
        add(f"{workload}: Gbit/s against HAProxy, splice forced",
            against(workload, "haproxy-splice", "gbit_per_second"), limit, at_least=True)
    for workload in ["bulk1", "bulk16"]:
        for proxy, name in [("haproxy", "HAProxy's default"), ("nginx", "nginx")]:
            add(f"{workload}: Gbit/s against {name}", against(workload, proxy, "gbit_per_second"), 2.3, at_least=True)
    for workload, limit in [("bulk1", 0.7), ("bulk16", 0.55)]:
        add(f"{workload}: proxy CPU per GB against HAProxy, splice forced",
            against(workload, "haproxy-splice", "proxy_s_per_gb"), limit)
    for workload, limit in [("bulk16", 1.15), ("bulk1", 1.25)]:
        add(f"{workload}: system CPU per GB against 2 × direct",
            against(workload, "direct", "system_s_per_gb", 2), limit)
    for workload in ["pingpong64x100", "pingpong64x1000"]:
        for proxy, name, limit in [("haproxy", "HAProxy", 0.9), ("nginx", "nginx", 0.92)]:
            add(f"{workload}: proxy CPU per round trip against {name}", against(workload, proxy, "proxy_ns"), limit)
        add(f"{workload}: proxy CPU per round trip against 2 × the direct server's",
            against(workload, "direct", "proxy_ns", 2), 1.2)
    add("pingpong64x100: p99 against HAProxy", against("pingpong64x100", "haproxy", "p99_us"), 1.05)
    add("churn: proxy CPU per connection against HAProxy", against("churn", "haproxy", "proxy_us"), 1.0)
    add("churn: system CPU per connection against HAProxy", against("churn", "haproxy", "system_us"), 1.1)
    add("mixed: ping-pong p99 beside bulk against HAProxy", against("mixed", "haproxy", "p99_us"), 0.7)
    for workload in ["idle2000", "idle8000"]:
        add(f"{workload}: user memory per connection", median(workload, "limpetd", "user_bytes"), 512, form="{:.0f} B")
    add("start: memory of all processes, PSS", median("start", "limpetd", "pss_mb"), 15, form="{:.1f} MB")
    for count, limit in [(10, 0.3), (100, 1), (1000, 6)]:
        add(f"hashpick: among {count:,} backends", median("hashpick", "limpetd", f"pick{count}_us"), limit,
            form="{:.2f} µs")
    for workload, figure in [("bulk1", "proxy_s_per_gb"), ("bulk16", "proxy_s_per_gb"),
                             ("pingpong64x100", "proxy_ns"), ("pingpong64x1000", "proxy_ns")]:
        add(f"{workload}: proxy CPU per unit of work, two workers against one", scaling(workload, figure), 1.15)
    return listed
