"""The figures as a table: on the screen, and in `RESULTS.md` between two markers, with the machine and the command."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("RESULTS.md")
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
GOALS: Mapping[str, tuple[str, str]] = {
    "3 effect steps, p50 ms": ("≤ 4", "≤ 6"),
    "64 callers, runs/s": ("≥ 700", "≥ 1,000"),
    "first token, 1 stream, later p50 ms": ("≤ 5", "≤ 5"),
    "first token, 1 stream, later p99 ms": ("≤ 15", "≤ 15"),
    "50 streams of 200 tokens/s, tokens/s": ("10,000", "10,000"),
    "rows later than the answer under this load, p99 ms": ("≤ 1,000", "≤ 1,000"),
    "idle streams open in one process": ("5,000", "5,000"),
    "reading again: replay events/s": ("≥ 30,000", "≥ 30,000"),
}
Results = Mapping[str, Mapping[str, Any]]


def show(console: Console, results: Results, peers: Results) -> None:
    """The table on the screen."""
    for title, found in (("Prozess", results), ("peers, the same work", peers)):
        if not found:
            continue
        table = Table("figure", *found, title=title, title_justify="left")
        for name, *cells in _rows(found):
            table.add_row(name, *cells)
        console.print(table)


def write(results: Results, peers: Results, arguments: Sequence[str]) -> None:
    """The table in the file, in place of the last one."""
    text = RESULTS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    command = " ".join(["make bench", *([f'ARGS="{" ".join(arguments)}"'] if arguments else [])])
    lines = [f"`{command}` on {made}: {_machine()}.", "", *_markdown(results, goals=True)]
    if peers:
        lines += ["", "Peers, the same work in the same run:", "", *_markdown(peers, goals=False)]
    RESULTS.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}", encoding="utf-8")


def _rows(results: Results) -> list[list[str]]:
    names = dict.fromkeys(name for found in results.values() for name in found)
    return [[name, *(_said(found.get(name, "")) for found in results.values())] for name in names]


def _markdown(results: Results, *, goals: bool) -> list[str]:
    head = ["figure", *results, *(["goal"] if goals else [])]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for name, *cells in _rows(results):
        goal = GOALS.get(name, ("", ""))
        wanted = [goal[0] if goal[0] == goal[1] else f"{goal[0]}; Kafka {goal[1]}"] if goals else []
        lines.append("| " + " | ".join([name, *cells, *wanted]) + " |")
    return lines


def _said(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _machine() -> str:
    model = next((line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return f"{os.cpu_count()} cores ({model or platform.machine()}), {memory:.0f} GB, Python {platform.python_version()}"
