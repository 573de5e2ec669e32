"""Measurements: one module a table, each run as `python -m benchmarks.<table>`. Nothing is asserted."""
