"""The only place that joins engine and storage: actors, clock, supervisor."""
