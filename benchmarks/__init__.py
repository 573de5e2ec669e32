"""Benchmarks. Each module prints one table: `python -m benchmarks.<module>`. No target is asserted."""
