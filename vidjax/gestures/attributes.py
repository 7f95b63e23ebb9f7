"""What each gesture shows, as two labels: the fingers that are used, and where the movement goes.

The shape names the fingers that are straight at some moment of the movement. The direction is the
one that a viewer of the picture sees in every clip of the class, whichever hand is drawn. A gesture
that comes up from below and stays there goes up, too.

Two classes hold clips of several kinds. "No gesture" shows nobody's hand, or a hand that lies still
in any shape: its shape is none. Under "Doing other things", shapes and directions are both mixed.
"""

WHOLE_HAND = "shape: whole hand"
TWO_FINGERS = "shape: two fingers"  # index and middle finger
THUMB_AND_INDEX = "shape: thumb and index finger"
THUMB = "shape: thumb"
NO_SHAPE = "shape: none"
OTHER_SHAPE = "shape: other"

LEFT = "direction: left"
RIGHT = "direction: right"
UP = "direction: up"
DOWN = "direction: down"
NEARER = "direction: nearer"  # to the viewer
FARTHER = "direction: farther"
CLOCKWISE = "direction: clockwise"
COUNTERCLOCKWISE = "direction: counterclockwise"
ROLLING_FORWARD = "direction: rolling forward"  # over the top towards the viewer
ROLLING_BACKWARD = "direction: rolling backward"
OPENING = "direction: opening"  # the fingers part
CLOSING = "direction: closing"
TO_AND_FRO = "direction: to and fro"
NO_DIRECTION = "direction: none"
OTHER_DIRECTION = "direction: other"

# One row for each gesture: (shape, direction).
ATTRIBUTES = {
    "Swiping Left": (WHOLE_HAND, LEFT),
    "Swiping Right": (WHOLE_HAND, RIGHT),
    "Swiping Down": (WHOLE_HAND, DOWN),
    "Swiping Up": (WHOLE_HAND, UP),
    "Pushing Hand Away": (WHOLE_HAND, NEARER),  # away from the person, who faces the viewer
    "Pulling Hand In": (WHOLE_HAND, FARTHER),
    "Sliding Two Fingers Left": (TWO_FINGERS, LEFT),
    "Sliding Two Fingers Right": (TWO_FINGERS, RIGHT),
    "Sliding Two Fingers Down": (TWO_FINGERS, DOWN),
    "Sliding Two Fingers Up": (TWO_FINGERS, UP),
    "Pushing Two Fingers Away": (TWO_FINGERS, NEARER),
    "Pulling Two Fingers In": (TWO_FINGERS, FARTHER),
    "Rolling Hand Forward": (WHOLE_HAND, ROLLING_FORWARD),
    "Rolling Hand Backward": (WHOLE_HAND, ROLLING_BACKWARD),
    "Turning Hand Clockwise": (WHOLE_HAND, CLOCKWISE),
    "Turning Hand Counterclockwise": (WHOLE_HAND, COUNTERCLOCKWISE),
    "Zooming In With Full Hand": (WHOLE_HAND, OPENING),
    "Zooming Out With Full Hand": (WHOLE_HAND, CLOSING),
    "Zooming In With Two Fingers": (THUMB_AND_INDEX, OPENING),
    "Zooming Out With Two Fingers": (THUMB_AND_INDEX, CLOSING),
    "Thumb Up": (THUMB, UP),
    "Thumb Down": (THUMB, DOWN),  # comes in from a side and then sinks
    "Shaking Hand": (WHOLE_HAND, TO_AND_FRO),
    "Stop Sign": (WHOLE_HAND, UP),
    "Drumming Fingers": (WHOLE_HAND, NO_DIRECTION),  # fingers beat, the hand stays
    "No gesture": (NO_SHAPE, NO_DIRECTION),
    "Doing other things": (OTHER_SHAPE, OTHER_DIRECTION),
}

# The attributes that a horizontal flip swaps; all others look the same in a mirror.
SWAPS = ((LEFT, RIGHT), (CLOCKWISE, COUNTERCLOCKWISE))


def names(gestures: tuple[str, ...]) -> tuple[str, ...]:
    """The attributes of these gestures, each once: shapes, then directions."""
    shapes = [ATTRIBUTES[gesture][0] for gesture in gestures]
    directions = [ATTRIBUTES[gesture][1] for gesture in gestures]
    return tuple(dict.fromkeys(shapes + directions))
