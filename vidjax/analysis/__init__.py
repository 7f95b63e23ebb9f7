"""About networks, without running them: counts, receptive field, catalogue."""
