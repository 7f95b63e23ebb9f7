"""Text out of a file of somebody else's, as a message may have it."""


def shown(text: object, limit: int = 60) -> str:
    """A string from a file: quoted, on one line, and short."""
    text = repr(text) if isinstance(text, str) else f"a {type(text).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 4]}...'"
