"""Text from a stranger's file, made safe for a message of ours."""


def quoted(text: object, limit: int = 60) -> str:
    """A string from a file in quotes, on one line, cut to `limit`; of other objects the type."""
    text = repr(text) if isinstance(text, str) else f"a {type(text).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 4]}...'"
