"""What can be wrong with foreign weights."""


class ConvertError(Exception):
    """Weights that are not of a known network, or do not fit it; the message says which and why."""

    exit_code = 2
