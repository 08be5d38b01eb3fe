"""Medians and tables."""
import statistics

from goals import goals

# Name of a figure, heading, form, whether a ratio to it says something.
COLUMNS = [
    ("gbit_per_second", "Gbit/s", "{:.2f}", True),
    ("proxy_s_per_gb", "proxy s/GB", "{:.3f}", True),
    ("system_s_per_gb", "system s/GB", "{:.3f}", True),
    ("messages_per_second", "messages/s", "{:,.0f}", True),
    ("connections_per_second", "conn/s", "{:,.0f}", True),
    ("p50_us", "p50 µs", "{:,.1f}", True),
    ("p99_us", "p99 µs", "{:,.1f}", True),
    ("proxy_ns", "proxy ns", "{:,.0f}", True),
    ("system_ns", "system ns", "{:,.0f}", True),
    ("proxy_us", "proxy µs", "{:,.1f}", True),
    ("system_us", "system µs", "{:,.1f}", True),
    ("user_bytes", "user B each", "{:,.0f}", True),
    ("kernel_bytes", "kernel B each", "{:,.0f}", True),
    ("start_ms", "ms to answer", "{:.1f}", True),
    ("pss_mb", "PSS MB", "{:.1f}", True),
    ("rss_mb", "RSS MB", "{:.1f}", False),
    ("processes", "processes", "{:.0f}", False),
    ("file_mb", "file MB", "{:.1f}", False),
    ("stripped_mb", "stripped", "{:.1f}", False),
    ("pick10_us", "10 backends, µs", "{:.3f}", False),
    ("pick100_us", "100, µs", "{:.3f}", False),
    ("pick1000_us", "1,000, µs", "{:.3f}", False),
]
# Above this part of all CPU time, what the rest of the machine does spoils a measurement.
DISTURBED = 0.1


class Results:
    """Every round's figures, and their medians."""

    def __init__(self, rounds=()):
        self.rounds = list(rounds)

    def add(self, number, workload, proxy, workers, figures):
        self.rounds.append({"round": number, "workload": workload, "proxy": proxy, "workers": workers, **figures})

    def median(self, workload, proxy, workers, figure):
        """None where it was not measured."""
        values = [entry[figure] for entry in self.rounds
                  if (entry["workload"], entry["proxy"], entry["workers"]) == (workload, proxy, workers)
                  and figure in entry]
        return statistics.median(values) if values else None

    def settings(self, workload):
        """The (proxy, workers) that were measured."""
        return {(entry["proxy"], entry["workers"]) for entry in self.rounds if entry["workload"] == workload}

    def disturbed(self):
        """How many measurements were, of how many."""
        shares = [entry["others_share"] for entry in self.rounds if "others_share" in entry]
        return sum(share > DISTURBED for share in shares), len(shares)


def plain_table(rows):
    """Aligned columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  " + "  ".join(cells).rstrip())
        if number == 0:
            lines.append("  " + "  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"


def markdown_table(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + "|--:" * (len(rows[0]) - 1) + "|", *lines[1:]]) + "\n"


def workload_rows(results, workload, titles):
    """Medians of one workload; behind each figure of another, limpetd's divided by it."""
    measured = results.settings(workload)
    settings = [(proxy, workers) for workers in sorted({workers for _, workers in measured}) for proxy in titles
                if (proxy, workers) in measured]
    columns = [column for column in COLUMNS
               if any(results.median(workload, *setting, column[0]) is not None for setting in settings)]
    compares = len({proxy for proxy, _ in settings}) > 1 and ("limpetd", 1) in settings
    rows = [["", *(cell for column in columns
                   for cell in ([column[1], "×"] if column[3] and compares else [column[1]]))]]
    for proxy, workers in settings:
        row = [titles[proxy] + (f", {workers} workers" if workers > 1 else "")]
        for figure, _, form, has_ratio in columns:
            value = results.median(workload, proxy, workers, figure)
            own = results.median(workload, "limpetd", workers, figure)
            row.append("-" if value is None else form.format(value))
            if has_ratio and compares:
                row.append("" if proxy == "limpetd" or not value or own is None else f"{own / value:.2f}")
        rows.append(row)
    return rows


def report(results, titles, table, is_whole):
    """All tables. `titles`: of the workloads and of the proxies, in their order. Of a run that is not whole, only those
    goals are listed for which it has what they need."""
    parts = ["×: limpetd's figure divided by that of the row, with the same number of workers.\n"]
    for workload, title in titles["workloads"].items():
        if results.settings(workload):
            parts.append(f"{title}  ({workload})\n\n{table(workload_rows(results, workload, titles['proxies']))}")
    rows = [goal.row() for goal in goals(results) if is_whole or goal.figure is not None]
    if rows:
        parts.append(f"What is to be reached\n\n{table([['', 'goal', 'figure', 'reached'], *rows])}")
    disturbed, loads = results.disturbed()
    if disturbed:
        parts.append(f"In {disturbed} of {loads} measurements other programs took more than a tenth of all CPU time that "
                     "was used:\nfigures of the system are too high there. `others_share` says where.\n")
    return "\n".join(parts)
