"""What can be wrong with foreign weights."""


class ConvertError(Exception):
    """Weights that are not of a known network, or do not fit it; the message says which and why."""

    exit_code = 2


def shown(text: object, limit: int = 60) -> str:
    """A string out of a file as a message may have it: quoted, on one line, short."""
    text = repr(text) if isinstance(text, str) else f"a {type(text).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 4]}...'"
