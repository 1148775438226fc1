"""Results out of the store, and a quick look at how fast it is."""

from __future__ import annotations

import sys
from pathlib import Path
from uuid import UUID

import click
from flask.cli import with_appcontext

from storage_core.backtest_filters import Filters
from storage_core.chosen import Choice, count, unknown_ids
from webapp.commands.store_options import filter_options
from webapp.commands.terminal import FINDINGS, problems, progress, say, say_json
from webapp.extensions import db, settings
from webapp.filters import file_size

FORMATS = ("json", "csv", "parquet", "zip")


@click.command("export-results")
@with_appcontext
@click.argument("task_ids", type=click.UUID, nargs=-1, metavar="[TASK_ID]...")
@click.option("--format", "form", type=click.Choice(FORMATS), default="csv", show_default=True, help="See above.")
@click.option(
    "--to", "target", type=click.Path(path_type=Path), required=True, help="New folder, or new file NAME.zip."
)
@filter_options()
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def export_results(task_ids: tuple[UUID, ...], form: str, target: Path, filters: Filters, as_json: bool) -> None:
    """Write backtests to a new folder or archive: those of the ids, or all that pass the filters.

    json is the legacy layout; csv and parquet have every column, a folder a result; zip is csv in one archive. Any
    form becomes an archive when --to ends in .zip. Nothing is overwritten. Ends with status 1 when a result could not
    be read; the others are exported.

    Example: flask export-results --strategy sma_cross --format parquet --to ./sma-cross.zip
    """
    from storage_core.export import export

    if form == "zip" and target.suffix != ".zip":
        raise click.UsageError("--format zip needs a --to that ends in .zip")
    choice = Choice(filters=filters, task_ids=task_ids)
    with problems():
        if unknown := unknown_ids(db.engine, choice):
            raise click.UsageError(f"there is no backtest {unknown[0]}")
        if not count(db.engine, choice):
            raise click.ClickException("no backtest passes these filters; nothing was written")
    with problems(), progress("Exporting") as step:
        report = export(db.engine, settings(), choice, target, form=form, on_progress=step)
    if as_json:
        say_json(report.as_dict())
    else:
        say(f"{report.backtests:>8,} backtests listed")
        say(f"{report.results:>8,} results exported to {report.target} ({file_size(report.bytes)})")
        for problem in report.failures.values():
            say(problem, err=True)
    sys.exit(FINDINGS if report.failures else 0)


@click.command("benchmark-storage")
@with_appcontext
@click.option("--trades", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="Of each result.")
@click.option("--bars", type=click.IntRange(2, 10_000_000), default=10_000, show_default=True, help="Of each result.")
@click.option("--runs", type=click.IntRange(1, 1_000), default=10, show_default=True, help="Samples of each figure.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def benchmark_storage(trades: int, bars: int, runs: int, as_json: bool) -> None:
    """Measure saving, reading and verifying where results are kept, in scratch that is removed afterwards.

    The results are made up and their rows go to a scratch database; of the own database only the list is read.

    Example: flask benchmark-storage --trades 10000 --bars 100000
    """
    from storage_core.store_benchmark import measure

    with problems():
        found = measure(db.engine, settings(), trades=trades, bars=bars, runs=runs)
    if as_json:
        say_json(found.as_dict())
        return
    say(f"{found.where}: results of {trades:,} trades and {bars:,} bars, {file_size(found.bytes)} each")
    say(f"{'milliseconds':32} {'min':>9} {'median':>9} {'max':>9}")
    for figure in found.figures:
        say(f"{figure.name:32} {figure.lowest:>9.2f} {figure.median:>9.2f} {figure.highest:>9.2f}")
