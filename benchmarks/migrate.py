"""Migrating 10,000 legacy files of real shapes, 1% of them broken: files a second, exactness, memory."""

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.report import Report

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT.parent / "shared" / "data" / "legacy"
SEED = 20_261_120
BROKEN_SHARE = 0.01
COMPARED = ("migrated", "skipped", "failed", "failures", "bytes_before", "bytes_after")


def _cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def _replaced(was: bytes, now: bytes) -> Callable[[bytes], bytes]:
    def replace(data: bytes) -> bytes:
        assert was in data, was
        return data.replace(was, now, 1)

    return replace


BREAKS: dict[str, Callable[[bytes], bytes]] = {
    "truncated": _cut,
    "empty": lambda data: b"",
    "corrupt": _replaced(b'"timeframe":', b'"timeframe" '),
    "not-utf-8": _replaced(b'"environment": "', b'"environment": "\xff'),
    "byte-order-mark": lambda data: b"\xef\xbb\xbf" + data,
    "not-finite": _replaced(b'"win_rate": ', b'"win_rate": NaN, "was": '),
    "wrong-type": _replaced(b'"avg_return": ', b'"avg_return": "much", "was": '),
    "missing": _replaced(b'"end_date"', b'"ended"'),
    "unknown-strategy": _replaced(b'"strategy": "volume', b'"strategy": "volum'),
    "impossible-date": _replaced(b'"start_date": "20', b'"start_date": "29'),
    "bad-id": _replaced(b'"run_id": "', b'"run_id": "../'),
    "bad-symbol": _replaced(b'"symbol": "KRW-', b'"symbol": "../KRW-'),
    "bad-timeframe": _replaced(b'"timeframe": "1', b'"timeframe": "9'),
    "duplicate-key": _replaced(b'"strategy":', b'"strategy": "x", "strategy":'),
    "huge-number": _replaced(b'"avg_hold_bars": ', b'"avg_hold_bars": 123456789012345678901, "was": '),
    "nested": _replaced(b'"metadata": {', b'"metadata": {"deep": ' + b"[" * 60 + b"]" * 60 + b", "),
}


@dataclass(frozen=True)
class Made:
    """Files of one folder of legacy results, and the kind of fault of each broken one by its path."""

    folder: Path
    count: int
    broken: dict[str, str]


def varied(document: dict[str, Any], numbers: random.Random) -> dict[str, Any]:
    """The same shape with other numbers: prices moved, returns and the curve computed as the legacy system did."""
    for entry in document["symbols"]:
        factor, equity = numbers.uniform(0.8, 1.25), 1.0
        for signal, point in zip(entry["signals"], entry["performance_curve"] or [], strict=True):
            signal["entry_price"] = float(round(signal["entry_price"] * factor, 1))
            signal["exit_price"] = float(round(signal["exit_price"] * factor * numbers.uniform(0.99, 1.01), 1))
            signal["return_pct"] = (signal["exit_price"] - signal["entry_price"]) / signal["entry_price"]
            equity *= 1 + signal["return_pct"]
            point["equity"] = equity
        returns = [signal["return_pct"] for signal in entry["signals"]]
        if returns:
            entry["win_rate"] = sum(value > 0 for value in returns) / len(returns)
            entry["avg_return"] = sum(returns) / len(returns) * 100
    return document


def write_one(folder: Path, sample: Path, number: int, fault: str) -> str:
    """One more result like `sample`; returns its path."""
    numbers = random.Random(SEED + number)  # noqa: S311
    task_id = str(uuid.UUID(int=numbers.getrandbits(128), version=4))
    document = varied(json.loads(sample.read_bytes()), numbers) | {"run_id": task_id}
    data = json.dumps(document, indent=2).encode()
    data = BREAKS[fault](data) if fault else data
    if sample.name != "result.json":
        path = f"results/{task_id}.json"
        (folder / path).write_bytes(data)
        return path
    manifest = json.loads((sample.parent / "manifest.json").read_bytes()) | {"task_id": task_id}
    checksum = hashlib.md5(data, usedforsecurity=False).hexdigest()
    manifest["result_files"][0] |= {"size_bytes": len(data), "checksum": checksum}
    path = f"tasks/{task_id}/result.json"
    (folder / path).parent.mkdir()
    (folder / path).write_bytes(data)
    (folder / path).with_name("manifest.json").write_text(json.dumps(manifest, indent=2))
    return path


def _write_some(folder: Path, jobs: list[tuple[Path, int, str]]) -> list[tuple[str, str]]:
    return [(write_one(folder, sample, number, fault), fault) for sample, number, fault in jobs]


def make(folder: Path, count: int) -> Made:
    """`count` results made from the samples in turn; every hundredth broken, each fault in its turn."""
    samples = sorted([*SAMPLES.glob("tasks/*/result.json"), *SAMPLES.glob("results/*-*.json")])
    if not samples:
        raise SystemExit(f"this benchmark makes its files from {SAMPLES}, which is missing")
    for layout in ("tasks", "results"):
        (folder / layout).mkdir(parents=True)
    every, faults = round(1 / BROKEN_SHARE), list(BREAKS)
    jobs = [
        (samples[n % len(samples)], n, faults[n // every % len(faults)] if n % every == every // 2 else "")
        for n in range(count)
    ]
    with ProcessPoolExecutor() as pool:
        parts = pool.map(_write_some, [folder] * 64, [jobs[part::64] for part in range(64)])
        broken = {path: fault for part in parts for path, fault in part if fault}
    return Made(folder, count, broken)


def flask(data_dir: Path, *args: str) -> tuple[dict[str, Any], float]:
    """Run a flask command with --json; its report, and the peak memory of its processes together in MB."""
    env = {**os.environ, "DATA_DIR": str(data_dir), "DATABASE_URL": "", "FLASK_APP": "wsgi.py"}
    command = [sys.executable, "-m", "flask", *args]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    with tempfile.TemporaryFile("w+") as output:
        peak = _watch(process, output)
        output.seek(0)
        text = output.read()
    return json.loads(text or "{}"), peak


def _watch(process: subprocess.Popen[str], output: Any) -> float:
    import threading

    reader = threading.Thread(target=lambda: shutil.copyfileobj(process.stdout, output))
    reader.start()
    peak, own = 0.0, psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, sum(_memory(one) for one in _family(own)))
        time.sleep(0.5)  # looking costs the processes that are looked at
    reader.join()
    return peak


def _family(process: psutil.Process) -> Iterator[psutil.Process]:
    yield process
    try:
        yield from process.children(recursive=True)
    except psutil.Error:
        return


def _memory(process: psutil.Process) -> float:
    """Its own memory in MB: pages that it shares with others counted by share."""
    try:
        return process.memory_full_info().pss / 1e6
    except psutil.Error:
        return 0.0


def _processor_seconds() -> float:
    """Processor time of all ended processes of this one: unlike the clock it says little of other people's work."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def exact(made: Made, originals: dict[str, str], data_dir: Path, backups: Path) -> int:
    """How many of the sound results come back byte for byte when they are rolled back."""
    target = data_dir / "rolled-back"
    flask(data_dir, "rollback-results", "--target-dir", str(target), "--backup-dir", str(backups), "--json")
    same = 0
    for path, digest in originals.items():
        found = target / path
        same += path not in made.broken and found.is_file() and _sha256(found) == digest
    return same


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(report: Report, folder: Path, count: int, jobs: int) -> None:
    """Make, migrate, compare; adds the figures of one size."""
    made = make(folder / "legacy", count)
    results = [*made.folder.glob("tasks/*/result.json"), *made.folder.glob("results/*.json")]
    originals = {str(path.relative_to(made.folder)): _sha256(path) for path in results}
    data_dir, args = folder / "data", ["--source-dir", str(made.folder), "--jobs", str(jobs), "--json"]
    flask(data_dir, "db", "upgrade")
    planned, _ = flask(data_dir, "migrate-results", *args, "--dry-run")
    before = _processor_seconds()
    done, peak = flask(data_dir, "migrate-results", *args)
    spent = (_processor_seconds() - before) / count * 1000
    sound = count - len(made.broken)
    named = {failure["path"]: failure["kind"] for failure in done["failures"]}
    same = exact(made, originals, data_dir, made.folder / "backups")
    report.add(f"{count:,} files, {jobs} processes", "files/s", [done["files_per_second"]], "goal: 100")
    report.add(
        f"{count:,} files, processor time a file", "ms", [spent], "goal: 20, which is 100 files/s on 2 processors"
    )
    report.add(f"{count:,} files, sound ones exact", "%", [100 * same / sound], "goal: 100")
    right = sum(named.get(path) == fault for path, fault in made.broken.items())
    report.add(f"{count:,} files, broken ones named rightly", "%", [100 * right / len(made.broken)], "goal: 100")
    report.add(f"{count:,} files, sound ones refused", "files", [len(set(named) - set(made.broken))], "goal: 0")
    report.add(f"{count:,} files, dry run, files/s", "files/s", [planned["files_per_second"]])
    report.add(f"{count:,} files, size reduction", "%", [done["reduction_pct"]])
    report.add(f"{count:,} files, peak memory of all processes", "MB", [peak], "goal: flat in the number of files")
    unlike = [f"{name}: {planned[name]} planned, {done[name]} done" for name in COMPARED if planned[name] != done[name]]
    report.notes.append(
        f"{count:,} files: the dry run said {'something else: ' + '; '.join(unlike) if unlike else 'the same'}"
    )
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(Counter(named.values()).items()))
    report.notes.append(f"{count:,} files: {done['migrated']:,} migrated, {same:,} exact, failed: {kinds}")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="./dev bench migrate", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--files", type=int, nargs="+", default=[1_000, 10_000], help="numbers of files")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args(argv)
    report = Report("migrate")
    for count in options.files:
        with tempfile.TemporaryDirectory(prefix="coin-hts-bench-") as folder:
            run(report, Path(folder), count, options.jobs)
    report.show(as_json=options.json)
