"""What code a result came from, as digests of source files. Nothing is imported to find out, so the web may ask too.

A process that has loaded the code long ago asks once and keeps the answer: later edits are not what it runs.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

RESULT_MODULES = ("compute", "data_quality", "result_tables")
"""Modules of `workers` that shape a result; of `engine`, everything but the strategies does."""

Stamps = tuple[tuple[str, int, int], ...]


def engine_sha256() -> str:
    """Digest of all code but the strategies that decides a result."""
    engine, workers = package_folder("engine"), package_folder("workers")
    paths = [path for path in sorted(engine.rglob("*.py")) if path.parent.name != "strategies"]
    return _files_sha256(_stamps([*paths, *(workers / f"{name}.py" for name in RESULT_MODULES)]))


def shipped_strategy_sha256(signals: str) -> str:
    """Digest of a shipped strategy and its imports; `signals` as in the catalogue: "engine.strategies.NAME:signals"."""
    name = signals.partition(":")[0]
    engine = package_folder("engine")
    return _shipped_sha256(name, _stamps(sorted(engine.rglob("*.py"))))


def code_sha256(name: str, path: Path, roots: Mapping[str, Path]) -> str:
    """Digest of the module `name` at `path` and of all that it imports, directly or not, from `roots`.

    `roots` says where own packages (folders) and modules (files) lie, by the first word of their dotted names.
    """
    found = {name: path}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        for imported in _imports(found[current], current):
            source = _file_of(imported, roots)
            if source is not None and imported not in found:
                found[imported] = source
                waiting.append(imported)
    digest = hashlib.sha256()
    for module in sorted(found):
        digest.update(f"{module}\0".encode() + hashlib.sha256(found[module].read_bytes()).digest())
    return digest.hexdigest()


def package_folder(name: str) -> Path:
    """Where the top-level package `name` lies, without importing it."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"there is no package {name}")
    return Path(next(iter(spec.submodule_search_locations)))


@lru_cache(maxsize=64)
def _shipped_sha256(name: str, _stamps_of_engine: Stamps) -> str:
    roots = {"engine": package_folder("engine")}
    path = _file_of(name, roots)
    if path is None:
        raise ModuleNotFoundError(f"there is no module {name}")
    return code_sha256(name, path, roots)


@lru_cache(maxsize=4)
def _files_sha256(stamps: Stamps) -> str:
    digest = hashlib.sha256()
    for name, _, _ in stamps:
        path = Path(name)
        digest.update(f"{path.parent.name}/{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _stamps(paths: Iterable[Path]) -> Stamps:
    stats = ((path, path.stat()) for path in paths)
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def _imports(path: Path, name: str) -> tuple[str, ...]:
    stat = path.stat()
    return _read_imports(path, name, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=512)
def _read_imports(path: Path, name: str, _state: tuple[int, int]) -> tuple[str, ...]:
    return tuple(_imported_names(path, name))


def _imported_names(path: Path, name: str) -> Iterator[str]:
    """The dotted names that the module may import; of `from a import b`, both a and a.b."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _file_of(name: str, roots: Mapping[str, Path]) -> Path | None:
    first, *rest = name.split(".")
    if first not in roots:
        return None
    place = roots[first].joinpath(*rest)
    if place.suffix == ".py" and not rest:
        return place
    module = place.with_name(f"{place.name}.py")
    return next((path for path in (module, place / "__init__.py") if path.is_file()), None)
