"""What every other room may use: errors with exit codes, nearest names, cores, files written whole.

Only the standard library is imported here.
"""
