"""The clips that an evaluation shows: truth, answers, loss, and the frames of each.

A strip is a picture of T frames, one to the right of another: [H, T*W].
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vidjax.report.read import Run
from vidjax.report.values import as_dict, as_list, number

MAX_ANSWERS = 5  # that are shown for one clip
MAX_FRAMES = 8  # in a row; longer clips are thinned evenly
FILM_HEIGHT = 160  # device pixels of a frame on the page
FILM_EDGE = 2  # device pixels of black around it


@dataclass(frozen=True)
class Answer:
    """What the network said about one class."""

    name: str
    share: float  # its probability, NaN where it is not known
    kind: str  # "true", "false" for a wrong first answer, "other"


@dataclass(frozen=True)
class Clip:
    """One evaluated clip."""

    id: str
    truth: tuple[str, ...]  # where a clip can have several labels, any number of them
    answers: tuple[Answer, ...]  # the most probable first
    loss: float
    correct: bool
    frames: tuple[Image.Image, ...]  # empty where none were saved

    @property
    def title(self) -> str:
        """The truth in one line."""
        return ", ".join(self.truth) or "none of the labels"

    @property
    def note(self) -> str:
        """Which clip it is, its loss, and whether it was recognised."""
        note = f"clip {self.id}"
        if not math.isnan(self.loss):
            note += f", loss {self.loss:.2f}"
        if self.correct:
            note += ", recognised"
        return note

    @property
    def verdict(self) -> str:
        """How the first answer went, in words."""
        if self.correct:
            return "recognised"
        if self.answers and self.answers[0].kind == "false":
            return f"taken for {self.answers[0].name}"
        return "recognised in part"


def read_clips(raw: Any, run: Run) -> list[Clip]:
    """The clips of a section of evaluation/<split>.json; entries that are no clips are left out."""
    clips = []
    for entry in map(as_dict, as_list(raw)):
        # A clip without a label is neither right nor wrong. An empty list is a label: none applies.
        if "id" not in entry or entry.get("truth") in (None, ""):
            continue
        truth = read_truth(entry.get("truth"))
        clip = Clip(
            id=str(entry["id"]),
            truth=truth,
            answers=read_answers(entry.get("answers"), truth),
            loss=number(entry.get("loss")),
            correct=entry.get("correct") is True,
            frames=read_frames(run, str(entry.get("strip") or "")),
        )
        clips.append(clip)
    return clips


def read_truth(raw: Any) -> tuple[str, ...]:
    """One label or a list of them, as a tuple."""
    if isinstance(raw, list):
        return tuple(map(str, raw))
    return (str(raw),)


def read_answers(raw: Any, truth: Sequence[str]) -> tuple[Answer, ...]:
    """Pairs of a name and a probability as answers, each marked as true or false."""
    answers = []
    for pair in as_list(raw)[:MAX_ANSWERS]:
        if not isinstance(pair, list) or len(pair) != 2:
            continue
        name = str(pair[0])
        if name in truth:
            kind = "true"
        elif not answers:
            kind = "false"
        else:
            kind = "other"
        answers.append(Answer(name, number(pair[1]), kind))
    return tuple(answers)


def read_frames(run: Run, strip: str) -> tuple[Image.Image, ...]:
    """The frames of a strip, which is named by its path below evaluation/; () without one."""
    folder = (run.workdir / "evaluation").resolve()
    try:
        path = (folder / strip).resolve()
        # A path such as "../../x.png" comes from a broken or hostile file and leads nowhere.
        if not strip or not path.is_relative_to(folder):
            return ()
        with Image.open(path) as file:
            picture = file.convert("RGB")
    # Absent, no picture, or a damaged one, for which Pillow has several errors.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ()
    return cut_frames(picture, run.num_frames)


def cut_frames(strip: Image.Image, num_frames: int | None) -> tuple[Image.Image, ...]:
    """Cuts a strip into `num_frames` frames if that divides its width, otherwise into squares."""
    if num_frames and strip.width % num_frames == 0:
        count = num_frames
    else:
        count = max(1, round(strip.width / strip.height))
    width = strip.width // count
    return tuple(strip.crop((i * width, 0, (i + 1) * width, strip.height)) for i in range(count))


def choose_frames(num_frames: int, limit: int) -> list[int]:
    """At most `limit` positions, evenly spread, the first and the last among them."""
    count = min(num_frames, limit)
    return np.round(np.linspace(0, num_frames - 1, count)).astype(int).tolist()


def film(clip: Clip) -> bytes | None:
    """The frames of a clip for the page; None where it has none."""
    return film_of_frames(clip.frames)


def film_of_frames(frames: Sequence[Image.Image]) -> bytes | None:
    """At most eight of the frames, on black like a film, as a JPEG; None where there are none."""
    if not frames:
        return None
    frames = [frames[index] for index in choose_frames(len(frames), MAX_FRAMES)]
    # Small frames are enlarged to twice their size at most.
    height = min(FILM_HEIGHT, 2 * frames[0].height)
    width = max(1, round(height * frames[0].width / frames[0].height))
    pitch = width + FILM_EDGE
    picture = Image.new("RGB", (len(frames) * pitch + FILM_EDGE, height + 2 * FILM_EDGE))
    for position, frame in enumerate(frames):
        enlarged = frame.resize((width, height), Image.Resampling.LANCZOS)
        picture.paste(enlarged, (FILM_EDGE + position * pitch, FILM_EDGE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=82, optimize=True)
    return file.getvalue()


def poster_clip(clips: Sequence[Clip]) -> Clip | None:
    """The clip for a picture by itself: the most confident mistake, else the highest loss."""
    clips = [clip for clip in clips if clip.frames]
    mistakes = [clip for clip in clips if not clip.correct]
    if mistakes:
        return max(mistakes, key=confidence)
    return max(clips, key=badness, default=None)


def confidence(clip: Clip) -> float:
    """The probability of the first answer; -1 where it is not known."""
    if not clip.answers or math.isnan(clip.answers[0].share):
        return -1.0
    return clip.answers[0].share


def badness(clip: Clip) -> float:
    """The loss, where an unknown one is lower than any other."""
    if math.isnan(clip.loss):
        return -math.inf
    return clip.loss
