"""Tables."""
import statistics

# Name of a figure, heading, form, whether less is better.
COLUMNS = [
    ("gbit_per_second", "Gbit/s", "{:.2f}", False),
    ("proxy_s_per_gb", "proxy s/GB", "{:.3f}", True),
    ("system_s_per_gb", "system s/GB", "{:.3f}", True),
    ("messages_per_second", "messages/s", "{:,.0f}", False),
    ("p50_us", "p50 µs", "{:,.1f}", True),
    ("p99_us", "p99 µs", "{:,.1f}", True),
    ("proxy_ns", "proxy ns", "{:,.0f}", True),
    ("system_ns", "system ns", "{:,.0f}", True),
]


class Results:
    """Every round's figures, and their medians."""

    def __init__(self):
        self.rounds = []

    def add(self, number, workload, proxy, workers, figures):
        self.rounds.append({"round": number, "workload": workload, "proxy": proxy, "workers": workers, **figures})

    def median(self, workload, proxy, workers, figure):
        """None where it was not measured."""
        values = [entry[figure] for entry in self.rounds
                  if (entry["workload"], entry["proxy"], entry["workers"]) == (workload, proxy, workers)
                  and entry.get(figure) is not None]
        return statistics.median(values) if values else None

    def settings(self, workload):
        """(proxy, workers) that were measured, in the order of the first round."""
        return list(dict.fromkeys((entry["proxy"], entry["workers"]) for entry in self.rounds
                                  if entry["workload"] == workload))


def table(rows):
    """Aligned columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  " + "  ".join(cells).rstrip())
        if number == 0:
            lines.append("  " + "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def workload_table(results, workload, titles):
    """Medians of one workload, each followed by limpetd's ratio to it."""
    settings = results.settings(workload.name)
    columns = [column for column in COLUMNS
               if any(results.median(workload.name, *setting, column[0]) is not None for setting in settings)]
    rows = [["", *(cell for column in columns for cell in (column[1], "limpetd"))]]
    for proxy, workers in settings:
        row = [titles[proxy] + (f", {workers} workers" if workers > 1 else "")]
        for figure, _, form, _ in columns:
            value = results.median(workload.name, proxy, workers, figure)
            own = results.median(workload.name, "limpetd", workers, figure)
            row.append("-" if value is None else form.format(value))
            row.append("" if proxy == "limpetd" or not value or own is None else f"{own / value:.2f}×")
        rows.append(row)
    return f"{workload.title}\n{table(rows)}\n"
