"""Text from a stranger's file, made safe for a message of ours."""


def quoted(text: object, limit: int = 60) -> str:
    """A string from a file in quotes, on one line, cut to `limit`; of other objects the type."""
    if not isinstance(text, str):
        text = f"a {type(text).__name__}"
    else:
        text = repr(text)  # escapes line ends and what a terminal would obey
    if len(text) > limit:
        text = f"{text[: limit - 4]}...'"
    return text
