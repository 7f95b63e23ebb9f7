"""The choices that many families share by name, and why a family may not have one of them.

Each is a field of the Model of every family in which it means something (docs/knobs.md), with a
default that leaves the family's network as it is published.
"""

# name: what a network must have for the field to mean something
KNOBS = {
    "temporal_kernels": "temporal convolutions",
    "temporal_strides": "temporal convolutions",
    "temporal_dilations": "temporal convolutions",
    "stochastic_depth": "residual blocks",
    "squeeze_excite": "residual blocks",
    "non_local": "stages of maps over time and space",
    "remat_blocks": "blocks",
}
# Families whose own field has the place of a shared one: (family, shared field) -> their field.
OWN_FIELDS = {("x3d", "squeeze_excite"): "squeeze_ratio"}
# Families and composites that have none of the shared fields.
WITHOUT = ("cnn_rnn", "precomputed", "trn", "two_stream")


def refusal(family: str, field: str) -> str | None:
    """The sentence for a shared field that a family does not have; None for any other field."""
    if field not in KNOBS:
        return None
    if family in WITHOUT:
        return f"{family} has no field {field}; docs/knobs.md says which families have it."
    own = OWN_FIELDS.get((family, field))
    if own is not None:
        return (
            f"{family} has gates of its own, which are model.{own}, "
            f"so model.{field} cannot be chosen."
        )
    return f"{family} has no {KNOBS[field]}, so model.{field} cannot be chosen."
