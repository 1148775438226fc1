"""People's own strategies: Python files in STRATEGIES_DIR, and packages with an entry point in `coin_hts.strategies`.

A strategy is a module with `signals(bars, params) -> Signals` and, each optional, `PARAMS` (a list of ParamSpecs),
`LABEL`, `warmup(params)`, `memory(params)`, `check(params)` and `lines(bars, params)`; its docstring is the help text.
A file's name is the strategy's name. Files that begin with an underscore are no strategies; the others may import them.
Hidden ones are an editor's own. Only workers run this code; the web lists what they publish.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import invalidate_caches
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from engine.catalog import STRATEGIES, Catalog, StrategySpec, extended_catalog
from engine.params import ParamSpec
from storage_core.db import to_json
from storage_core.models import CustomStrategy
from storage_core.names import storable_json, storable_text
from storage_core.sources import code_sha256, package_folder

LONGEST_TEXT = 10_000
LOOKS = 5  # at a folder that somebody is writing to at this very moment
ENTRY_POINTS = "coin_hts.strategies"
NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_FOLDERS: set[str] = set()  # folders of strategies that this process has loaded from


class BrokenStrategy(Exception):
    """A module that is no strategy; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Found:
    """One strategy of somebody's own: loaded, or broken with the reason."""

    name: str
    source: str
    sha256: str
    spec: StrategySpec | None
    error: str | None = None

    def row(self) -> CustomStrategy:
        """What the web lists."""
        return CustomStrategy(
            name=storable_text(self.name, 100),
            label=storable_text(self.spec.label if self.spec else self.name, 200),
            help=storable_text(self.spec.help if self.spec else "", LONGEST_TEXT),
            params=_listed_params(self.spec.params) if self.spec else {},
            source=storable_text(self.source, 500),
            sha256=self.sha256,
            error=None if self.error is None else storable_text(self.error, LONGEST_TEXT),
        )


@dataclass(frozen=True, slots=True)
class Strategies:
    """What can be run at one moment: the catalogue, and of each strategy of somebody's own the digest of its code."""

    catalog: Catalog
    code: Mapping[str, str]


Stamp: TypeAlias = frozenset[tuple[str, int, int]]


def _listed_params(params: Sequence[ParamSpec]) -> dict[str, Any]:
    listed: dict[str, Any] = storable_json({param.name: asdict(param) for param in params}, LONGEST_TEXT)
    return listed


def find_settled(folder: Path | None) -> tuple[list[Found], Stamp]:
    """What `find` finds, and the stamp of just that; looked at again when a file was written meanwhile."""
    for _ in range(LOOKS):
        before, found = stamp(folder), find(folder)
        if stamp(folder) == before:
            break
    return found, before


def find(folder: Path | None) -> list[Found]:
    """Every strategy in `folder` and in the entry points; a broken one is reported and does not stop the others."""
    files = [_from_file(path) for path in _files(folder) if not path.name.startswith("_")]
    found = [one for one in files if one is not None]
    found += [_from_entry_point(point.name, point.value, point.load) for point in entry_points(group=ENTRY_POINTS)]
    return [_unique(one, found[:at]) for at, one in enumerate(found)]


def catalog_of(found: list[Found]) -> Catalog:
    """The shipped strategies and those of `found` that work."""
    return extended_catalog([one.spec for one in found if one.spec])


def stamp(folder: Path | None) -> Stamp:
    """Changes whenever a file of `folder` is added, removed or written."""
    found = set()
    for path in _files(folder):
        with suppress(FileNotFoundError):  # removed since the folder was read
            stat = path.stat()
            found.add((path.name, stat.st_mtime_ns, stat.st_size))
    return frozenset(found)


def _files(folder: Path | None) -> list[Path]:
    """All Python files, without hidden ones: Emacs keeps a link to nowhere beside a file that it edits."""
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith(".")) if folder else []


def _from_file(path: Path) -> Found | None:
    """The strategy at `path`; None when the file is gone."""
    try:
        digest = _digest(path)
    except (SyntaxError, ValueError, OSError) as error:
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:
            return None
        except OSError:
            digest = ""  # it may not be read, which the error says
        return Found(path.stem, str(path), digest, None, f"{type(error).__name__}: {error}")
    return _loaded(path.stem, str(path), digest, lambda: _module(path, digest))


def _digest(path: Path) -> str:
    roots = {"engine": package_folder("engine"), **{one.stem: one for one in _files(path.parent)}}
    return code_sha256(path.stem, path, roots)


def _from_entry_point(name: str, value: str, load: Callable[[], Any]) -> Found:
    def module() -> ModuleType:
        loaded = load()
        if not isinstance(loaded, ModuleType):
            raise BrokenStrategy(f"the entry point names {type(loaded).__name__}, not a module")
        return loaded

    return _loaded(name, f"entry point {value}", "", module)


def _loaded(name: str, source: str, digest: str, load: Callable[[], ModuleType]) -> Found:
    try:
        if not NAME.fullmatch(name):
            raise BrokenStrategy("the name must be lower-case letters, digits and _, starting with a letter")
        if name in STRATEGIES:
            raise BrokenStrategy(f"a shipped strategy is called {name!r}; choose another name")
        module = load()
        digest = digest or _package_sha256(module)
        spec = _spec_of(name, module)
        to_json(_listed_params(spec.params))  # what cannot be listed is broken: it would hide all the others
        return Found(name, source, digest, spec)
    except BrokenStrategy as error:
        return Found(name, source, digest, None, str(error))
    except (Exception, SystemExit) as error:  # somebody else's code may raise anything; the person is told
        return Found(name, source, digest, None, f"{type(error).__name__}: {error}")


def _package_sha256(module: ModuleType) -> str:
    top = module.__name__.partition(".")[0]
    folder = next(iter(getattr(sys.modules[top], "__path__", ())), None)
    path = Path(str(module.__file__))
    roots = {"engine": package_folder("engine"), top: Path(folder) if folder else path}
    return code_sha256(module.__name__, path, roots)


def _module(path: Path, digest: str) -> ModuleType:
    """The file as a module whose name holds the digest of all its code, so that edited code is a new module."""
    name = f"coin_hts_strategy_{path.stem}_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BrokenStrategy("not a Python file")
    module = module_from_spec(spec)
    _forget_neighbours(path.parent)
    sys.modules[name] = module
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # it would hide an edit within the same second
    try:
        spec.loader.exec_module(module)
        if _digest(path) != digest:
            raise BrokenStrategy("its file was changed while it was read")
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.dont_write_bytecode = writes
    return module


def _forget_neighbours(folder: Path) -> None:
    """Have the modules that strategies of `folder` share found there, and read again: they may have been edited."""
    _FOLDERS.add(str(folder))
    sys.path[:] = [*(path for path in sys.path if path not in _FOLDERS), str(folder)]
    for path in _files(folder):
        known = sys.modules.get(path.stem)
        if known is not None and str(Path(str(known.__file__)).parent) in _FOLDERS:
            del sys.modules[path.stem]
    invalidate_caches()


def _spec_of(name: str, module: ModuleType) -> StrategySpec:
    if not callable(getattr(module, "signals", None)):
        raise BrokenStrategy("there is no function signals(bars, params)")
    params = getattr(module, "PARAMS", ())
    if not isinstance(params, list | tuple) or not all(isinstance(param, ParamSpec) for param in params):
        raise BrokenStrategy("PARAMS must be a list of ParamSpecs; see engine.params")
    return StrategySpec(
        name=name,
        label=str(getattr(module, "LABEL", name.replace("_", " ").capitalize())),
        help=(module.__doc__ or "").strip(),
        params=tuple(params),
        signals=f"{module.__name__}:signals",
        warmup=getattr(module, "warmup", lambda _: 0),
        check=getattr(module, "check", None),
        memory=getattr(module, "memory", None),
        drawn=f"{module.__name__}:lines" if hasattr(module, "lines") else None,
    )


def _unique(one: Found, before: list[Found]) -> Found:
    if one.name not in {other.name for other in before}:
        return one
    listed_as = f"{one.name} ({one.source})"[-100:]
    return Found(listed_as, one.source, one.sha256, None, f"another strategy is called {one.name!r} already")
