"""The house plan, held by tests: who loads what, which words cross the layers, how large things get."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "storage_core", "workers", "webapp")
TOP_LEVEL = {
    "webapp", "workers", "storage_core", "engine", "migrations", "templates", "static", "tests", "benchmarks", "docs",
}  # fmt: skip


def modules_after(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after `statement`."""
    code = f"{statement}\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def tracked_files() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout: there is no list of tracked files")
    return done.stdout.split()


def test_the_web_process_loads_neither_numba_nor_pandas_nor_the_actors():
    loaded = modules_after("import os, tempfile; os.environ['DATA_DIR'] = tempfile.mkdtemp(); import wsgi")
    assert "webapp" in loaded
    assert not loaded & {"numba", "pandas", "pyarrow", "workers.actors", "engine.simulation", "engine.kernels"}


def test_the_catalogue_loads_without_numba():
    loaded = modules_after("import engine.catalog, engine.spec, engine.metrics")
    assert "engine.catalog" in loaded
    assert "numba" not in loaded


def test_the_process_that_runs_jobs_loads_no_kernel_and_takes_no_backtest():
    loaded = modules_after("import workers.boot, workers.io_actors, workers.jobs")
    assert "workers.io_actors" in loaded
    assert not loaded & {"numba", "pandas", "pyarrow", "flask", "ccxt", "engine.simulation", "workers.actors"}


def test_the_supervisor_stays_small(tmp_path):
    loaded = modules_after(
        "from workers.supervisor import Settings, valkey_argv, web_argv;"
        f"settings = Settings.from_env({{'DATA_DIR': {str(tmp_path)!r}}}); web_argv(settings);"
        "valkey_argv(socket=settings.socket_path, folder=settings.data_dir / 'valkey')"
    )
    assert "workers.supervisor" in loaded
    assert not loaded & {"redis", "dramatiq", "sqlalchemy", "flask", "numpy", "engine", "storage_core.db"}


def test_the_clock_stays_small():
    loaded = modules_after("import workers.clock")
    assert "workers.clock" in loaded
    assert not loaded & {"numba", "pandas", "pyarrow", "flask", "apprise", "engine.simulation"}


def test_queue_names_are_the_declared_actors():
    code = (
        "import dramatiq; from dramatiq.brokers.stub import StubBroker; dramatiq.set_broker(StubBroker());"
        "import workers.actors, workers.io_actors; b = dramatiq.get_broker();"
        "print(sorted((a.actor_name, a.queue_name) for a in b.actors.values()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    from workers import queue

    assert ast.literal_eval(done.stdout) == [
        (queue.RUN_BACKTEST, queue.QUEUE_BACKTESTS),
        (queue.RUN_JOB, queue.QUEUE_IO),
    ]


def test_the_version_stands_in_one_place_more_and_agrees():
    import tomllib

    from workers import VERSION

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_the_locks_agree():
    def pins(name):
        return {line.split(" ")[0] for line in (ROOT / name).read_text().splitlines() if "==" in line}

    assert pins("requirements.lock") < pins("requirements-dev.lock") < pins("requirements-bench.lock")


def test_only_wsgi_imports_the_web():
    offenders = [
        str(path.relative_to(ROOT))
        for path in python_files("engine", "storage_core", "workers", "migrations")
        if any(
            (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "webapp")
            or (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "webapp" for name in node.names))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]
    assert offenders == []


def test_nothing_but_the_fixed_folders_stands_at_the_top():
    folders = {Path(name).parts[0] for name in tracked_files() if "/" in name}
    assert {name for name in folders if not name.startswith(".")} <= TOP_LEVEL


def test_modules_and_functions_stay_small():
    long_modules = [p for p in python_files(*PACKAGES, "tests", "benchmarks") if len(p.read_text().splitlines()) > 400]
    assert long_modules == []
    long_functions = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files(*PACKAGES)
        for node in functions(path)
        if (node.end_lineno or node.lineno) - node.lineno + 1 > 60
    ]
    assert long_functions == []


def test_every_function_is_annotated():
    missing = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files(*PACKAGES)
        for node in functions(path)
        if node.returns is None
        or any(a.annotation is None and a.arg not in ("self", "cls") for a in (*node.args.args, *node.args.kwonlyargs))
    ]
    assert missing == []


def test_every_test_can_fail():
    signs = ("Assert(", "raises", "expect", "assert_", "check", "warns", "Raise(")
    idle = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files("tests")
        for node in functions(path)
        if node.name.startswith("test_") and not any(sign in ast.dump(node) for sign in signs)
    ]
    assert idle == []


def test_no_index_address_and_no_path_of_a_machine_is_tracked():
    names = [
        n for n in tracked_files() if n.endswith((".lock", ".json", ".txt", ".toml", ".md", ".py", ".html", ".yml"))
    ]
    bad = ["--index" + "-url", '"resolved"' + ': "http', "/wo" + "rk/", "/ro" + "ot/"]
    files = [ROOT / name for name in names if (ROOT / name).is_file()]
    found = [(file.name, b) for file in files for b in bad if b in file.read_text(encoding="utf-8", errors="replace")]
    assert found == []
    assert "uv.lock" not in names
