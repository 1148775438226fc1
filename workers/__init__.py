"""The only place that joins engine and storage: actors, clock, supervisor."""

VERSION = "0.1.0"
