"""Benchmarks that anybody can run: `./dev bench NAME`."""
