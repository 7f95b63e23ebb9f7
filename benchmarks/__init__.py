"""How fast vidjax is: `python -m benchmarks [networks | convolutions | checkouts] [flags]`."""
