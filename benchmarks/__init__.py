"""Benchmarks: measurements of the product with answers that are known in advance."""
