"""Readers of weight files: one format a file, bytes on disk -> names and NumPy arrays; nothing in a file is run."""
