"""The shipped strategies: one file each, `signals(bars, params) -> Signals`."""
