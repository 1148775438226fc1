"""Moving averages compared exactly: equal averages of decimal prices compare equal."""

import numpy as np
from numpy.typing import NDArray

from engine.kernels import njit

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Sliding sums start afresh this often, which bounds their rounding error.
FRESH_EVERY = 1024
# Above that error, and the comparison's, as a fraction of the largest slow sum since the last fresh start.
DOUBT = 1e-12
MAX_DECIMALS = 12
EXACT_INTEGER = 2.0**53
MAX_INTEGER = 9.0e18


@njit
def decimals_of(value: float, at_least: int) -> int:
    """The fewest decimals (at_least or more) with which value is a short decimal number, or -1 when it is none."""
    for decimals in range(at_least, MAX_DECIMALS + 1):
        scale = 10.0**decimals
        scaled = np.rint(value * scale)
        if scaled >= EXACT_INTEGER:
            return -1
        if scaled / scale == value:
            return decimals
    return -1


@njit
def sign_of_decimals(closes: Floats, last: int, fast: int, slow: int, scale: float) -> int:
    """Sign of fast average - slow average at bar `last`, in whole numbers of 1 / scale."""
    fast_sum = 0
    slow_sum = 0
    for k in range(last - slow + 1, last + 1):
        scaled = int(np.rint(closes[k] * scale))
        slow_sum += scaled
        if k > last - fast:
            fast_sum += scaled
    difference = fast_sum * slow - slow_sum * fast
    return (difference > 0) - (difference < 0)


@njit
def sign_of_floats(closes: Floats, last: int, fast: int, slow: int) -> int:
    """The same for any float64 closes, taken as the binary numbers they are (products split, sums compensated)."""
    total = 0.0
    carried = 0.0
    for k in range(last - slow + 1, last + 1):
        weight = float(slow - fast) if k > last - fast else float(-fast)
        head = float(np.float32(closes[k]))
        for part in (head * weight, (closes[k] - head) * weight):
            larger = total + part
            kept = larger - total
            carried += (total - (larger - kept)) + (part - kept)
            total = larger
    difference = total + carried
    return (difference > 0.0) - (difference < 0.0)


@njit
def exact_sign(closes: Floats, last: int, fast: int, slow: int) -> int:
    """Sign of fast average - slow average at bar `last`, as in exact arithmetic. Depends on the slow window only."""
    decimals = 0
    largest = 0.0
    for k in range(last - slow + 1, last + 1):
        decimals = decimals_of(closes[k], decimals)
        largest = max(largest, closes[k])
        if decimals < 0:
            return sign_of_floats(closes, last, fast, slow)
    scale = 10.0**decimals
    scaled = largest * scale
    if scaled >= EXACT_INTEGER or scaled * slow * slow >= MAX_INTEGER:
        return sign_of_floats(closes, last, fast, slow)
    return sign_of_decimals(closes, last, fast, slow, scale)


@njit
def average_signs(closes: Floats, fast: int, slow: int) -> NDArray[np.int8]:
    """int8[n]: sign of (mean of the last fast closes - mean of the last slow closes), 0 before slow closes exist.

    Sliding float sums decide where they are clearly apart; where they are not, exact_sign does.
    """
    n = len(closes)
    signs = np.zeros(n, dtype=np.int8)
    fast_sum = 0.0
    slow_sum = 0.0
    largest = 0.0
    for i in range(slow - 1, n):
        if (i - slow + 1) % FRESH_EVERY == 0:
            fast_sum = closes[i - fast + 1 : i + 1].sum()
            slow_sum = closes[i - slow + 1 : i + 1].sum()
            largest = slow_sum
        else:
            fast_sum += closes[i] - closes[i - fast]
            slow_sum += closes[i] - closes[i - slow]
            largest = max(largest, slow_sum)
        difference = fast_sum * slow - slow_sum * fast
        if abs(difference) > DOUBT * largest * slow:
            signs[i] = 1 if difference > 0.0 else -1
        else:
            signs[i] = exact_sign(closes, i, fast, slow)
    return signs


@njit
def crosses(signs: NDArray[np.int8], first: int) -> tuple[Flags, Flags]:
    """(up, down), bool[n] each: the sign turns strictly positive / negative from not so, at bars first..n-1."""
    up = np.zeros(len(signs), dtype=np.bool_)
    down = np.zeros(len(signs), dtype=np.bool_)
    for i in range(first, len(signs)):
        # Without branches: & compares many bars at once where `and` would go bar by bar.
        up[i] = (signs[i - 1] <= 0) & (signs[i] > 0)
        down[i] = (signs[i - 1] >= 0) & (signs[i] < 0)
    return up, down
