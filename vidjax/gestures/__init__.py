"""Draws the built-in synthetic gesture set: hand (geometry), motions (poses over time), scene (picture), write (files).

Imports NumPy and Pillow only, because the workers that render import it too.
"""
