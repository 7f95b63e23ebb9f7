"""What every other room may use: errors with exit codes, nearest names, files that are written whole.

Only the standard library is imported here.
"""
