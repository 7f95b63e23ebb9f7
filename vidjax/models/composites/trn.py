"""TRN: a 2D network on a few frames of the clip, then relations between ordered tuples of them.

Zhou et al., Temporal Relational Reasoning in Videos, ECCV 2018: eight segments, one frame of each,
256 features a frame. `trn_ms_*` are multi-scale, with relations of two to eight frames, `trn_*`
have one relation of all eight. A clip may have more frames than the largest relation.
"""

from vidjax.models.composites import cnn_rnn

_R50 = {"backbone": "resnet2d/resnet50"}

# name: fields of Model
VARIANTS = {
    "trn_ms_r50": _R50,
    "trn_r50": _R50,
    "trn_ms_r18": {"backbone": "resnet2d/resnet18"},
}
MAP = cnn_rnn.MAP
PARTS = cnn_rnn.PARTS
MIN_CLIP = (8, 1, 1)  # T, H, W: the frames of the largest relation

_MULTI_SCALE = {"name": "relation", "scales": (8, 7, 6, 5, 4, 3, 2)}
HEADS = {
    "trn_ms_r50": _MULTI_SCALE,
    "trn_r50": {"name": "relation", "scales": (8,)},
    "trn_ms_r18": _MULTI_SCALE,
}


class Model(cnn_rnn.Model):
    """Backbone: [N, T, H, W, C] -> the endpoints of the 2D network; the relations are the head."""
