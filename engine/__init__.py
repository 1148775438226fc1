"""The engine: what a backtest means, as pure numbers. No I/O, no clock, no environment."""

ENGINE_VERSION = "1.0"
