"""What `./dev check` makes of pip-audit: known holes fail; no answer of the service is said, and fails in public CI.

pip-audit -f json ... | python -m tests.advisories
"""

import json
import os
import sys
from typing import Any

UNANSWERED = (
    "pip-audit: NOT CHECKED: the service of advisories does not answer here. "
    "Run ./dev check where the internet can be reached."
)


def judge(text: str, *, required: bool) -> tuple[str, int]:
    """What to say, and the exit status, of the report `text`; `required`: no answer is a failure."""
    try:
        packages = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return UNANSWERED, int(required)
    checked = [one for one in packages if "skip_reason" not in one]
    if not checked:
        return UNANSWERED, int(required)
    holes = [line for one in checked for line in _holes(one)]
    if holes:
        return "\n".join(["pip-audit: known holes in what is shipped:", *holes]), 1
    left_out = [one["name"] for one in packages if "skip_reason" in one]
    note = f"; not known to the service: {', '.join(left_out)}" if left_out else ""
    return f"pip-audit: no known holes in {len(checked)} packages{note}.", 0


def _holes(package: dict[str, Any]) -> list[str]:
    what = f"  {package['name']} {package['version']}"
    return [
        f"{what}: {one['id']}, fixed in {', '.join(one['fix_versions']) or 'nothing yet'}" for one in package["vulns"]
    ]


def main() -> int:
    said, status = judge(sys.stdin.read(), required=os.environ.get("GITHUB_ACTIONS") == "true")
    sys.stdout.write(f"{said}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
