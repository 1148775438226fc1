"""`python -m benchmarks NAME [ARGS]`: run one benchmark; without a name, list them."""

import importlib
import pkgutil
import sys

import benchmarks

HELPERS = {"__main__", "lab", "postgres", "report"}


def names() -> dict[str, str]:
    """Benchmark name as typed -> module name."""
    modules = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in HELPERS]
    return {name.replace("_", "-"): name for name in sorted(modules)}


def main(argv: list[str]) -> int:
    known = names()
    if not argv:
        for name, module in known.items():
            summary = (importlib.import_module(f"benchmarks.{module}").__doc__ or "").strip().splitlines()[0]
            print(f"{name:16} {summary}")
        return 0
    if argv[0] not in known:
        print(f"no benchmark {argv[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    return importlib.import_module(f"benchmarks.{known[argv[0]]}").main(argv[1:]) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
