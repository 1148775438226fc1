"""How much of a file that somebody sent is read."""

MOST_COLUMNS, MOST_ROWS = 200, 10_000_000
SHOWN_ROWS, LONGEST_CELL = 8, 80
