"""Words of messages: the nearest name to one that does not exist, lists of names, plurals."""

import difflib
from collections.abc import Iterable, Sequence

CUTOFF = 0.5  # of difflib's similarity, from 0 to 1: two names less alike are not suggested


def nearest(name: str, known: Iterable[str], *, cutoff: float = CUTOFF) -> str | None:
    """The known name that is most like `name`, whatever its case; None where none is near."""
    by_lower_case = {other.lower(): other for other in known}
    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=cutoff)
    return by_lower_case[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = CUTOFF) -> str:
    """' Did you mean 'x'?' with the nearest known name, to put behind a sentence; '' for none."""
    match = nearest(name, known, cutoff=cutoff)
    return f" Did you mean {match!r}?" if match else ""


def counted(count: int, noun: str, *, plural: str = "") -> str:
    """'1 step', '1,200 steps'; `plural` where it is not the noun with an s."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {plural or noun + 's'}"


def no_such(what: str, name: str, known: Sequence[str], *, show: int = 12) -> str:
    """'There is no <what> 'x'. Did you mean 'y'?', and the list if it has at most `show` names."""
    message = f"There is no {what} {name!r}.{did_you_mean(name, known)}"
    if len(known) > show:
        return message
    if not known:
        return f"{message}\nThere is none."
    return f"{message}\nThere are: {', '.join(known)}."
