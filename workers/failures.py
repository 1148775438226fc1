"""What becomes of an attempt that broke: what to call it, and when to try again."""

import random
import re

BACKOFF_SECONDS, BACKOFF_FACTOR, LONGEST_BACKOFF_SECONDS = 2.0, 4.0, 60.0


def backoff(tries: int) -> float:
    """Seconds before the next attempt: about 2, 8, 32, ...; spread, so that what failed together comes back apart."""
    longest = min(BACKOFF_SECONDS * BACKOFF_FACTOR ** (tries - 1), LONGEST_BACKOFF_SECONDS)
    return longest * random.uniform(0.75, 1.25)  # noqa: S311  not a secret


def describe(error: Exception) -> tuple[str, str, bool]:
    """Stable code, sentence for people, and whether trying again is useless, of what stopped an attempt."""
    permanent = getattr(error, "permanent", None)
    if permanent is None:
        return "internal_error", f"the run broke: {type(error).__name__}: {error}", False
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower(), str(error), bool(permanent)
