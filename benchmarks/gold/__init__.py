"""Hidden scores that simulated labelers judge by: the truth that learning is measured against."""
