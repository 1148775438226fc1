"""How a benchmark speaks: spread of each figure, machine and versions, as text or JSON."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing: its samples, their unit, and the goal in words where there is one."""

    name: str
    unit: str
    samples: Sequence[float]
    goal: str = ""

    @property
    def spread(self) -> dict[str, float]:
        """min, median, p95 and max of the samples."""
        ordered = sorted(self.samples)
        p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
        return {"min": ordered[0], "median": statistics.median(ordered), "p95": p95, "max": ordered[-1]}


@dataclass(slots=True)
class Report:
    """All figures of one benchmark run."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, unit: str, samples: Sequence[float], goal: str = "") -> None:
        """Append a figure."""
        self.figures.append(Figure(name, unit, samples, goal))

    def show(self, *, as_json: bool) -> None:
        """Print the report."""
        if as_json:
            print(json.dumps(self.as_dict(), indent=2))
            return
        print(f"{self.name}   {datetime.now(UTC):%Y-%m-%d}   {machine_line()}")
        width = max((len(figure.name) for figure in self.figures), default=10)
        print(f"{'':{width}}  {'min':>10} {'median':>10} {'p95':>10} {'max':>10}")
        for figure in self.figures:
            numbers = " ".join(f"{value:>10,.4g}" for value in figure.spread.values())
            print(f"{figure.name:{width}}  {numbers}  {figure.unit:6} n={len(figure.samples)}  {figure.goal}".rstrip())
        for note in self.notes:
            print(f"- {note}")

    def as_dict(self) -> dict[str, object]:
        """The report as JSON-ready data."""
        figures = [asdict(figure) | figure.spread for figure in self.figures]
        return {"name": self.name, "machine": machine(), "figures": figures, "notes": self.notes}


def timed(work: Callable[[], object], runs: int) -> list[float]:
    """Milliseconds of each of `runs` calls, after one that does not count."""
    work()
    samples = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        samples.append(1000 * (time.perf_counter() - start))
    return samples


def machine() -> dict[str, object]:
    """Processor count, memory, system and versions of what decides speed."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "numba", "pyarrow", "vectorbt", "backtesting")},
    }


def machine_line() -> str:
    """The machine in one line."""
    facts = machine()
    known = [f"{name} {facts[name]}" for name in ("python", "numpy", "numba", "pyarrow") if facts[name]]
    return f"{facts['cpus']} cpus, {facts['memory_gb']} GB, {facts['system']}, {', '.join(known)}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
