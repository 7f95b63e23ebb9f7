"""Two streams: one network reads frames, another reads optical flow, and their answers are fused.

Simonyan and Zisserman, Two-Stream Convolutional Networks for Action Recognition in Videos, NIPS
2014: one frame, and the horizontal and vertical flow of ten frames as 20 channels of one image,
each through a 2D network. `*_i3d` is the 3D form of Carreira and Zisserman, Quo Vadis, Action
Recognition?, CVPR 2017: a clip, and the flow between its frames, [N, T, H, W, 2]. `spatial_*` and
`temporal_*` are a stream alone. How answers are fused is the head's: see `heads/streams.py`.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.core.errors import UserError
from vidjax.layers import checks
from vidjax.layers.endpoints import map_name
from vidjax.layers.style import Style, refuse_causal

_R18, _R50 = "resnet2d/resnet18", "resnet2d/resnet50"
_MOBILENET = "mobilenet_v2/mobilenet_v2_035"
_I3D, _I3D_FLOW = "i3d/i3d_inception", "i3d/i3d_inception_flow"

# name: fields of Model
VARIANTS = {
    "two_stream_r18": {"spatial": _R18, "temporal": _R18},
    "two_stream_r50": {"spatial": _R50, "temporal": _R50},
    "two_stream_mobilenet_v2_035": {"spatial": _MOBILENET, "temporal": _MOBILENET},
    "two_stream_i3d": {"spatial": _I3D, "temporal": _I3D_FLOW, "flow_fields": 1},
    "spatial_r18": {"spatial": _R18, "temporal": ""},
    "temporal_r18": {"spatial": "", "temporal": _R18},
    "spatial_mobilenet_v2_035": {"spatial": _MOBILENET, "temporal": ""},
    "temporal_mobilenet_v2_035": {"spatial": "", "temporal": _MOBILENET},
}
MAP = "map"  # the last endpoint with time and space
PARTS = {"spatial_network": "spatial", "temporal_network": "temporal"}

_STREAMS = {"name": "streams"}
HEADS = {
    "two_stream_r18": _STREAMS,
    "two_stream_r50": _STREAMS,
    "two_stream_mobilenet_v2_035": _STREAMS,
    "two_stream_i3d": _STREAMS,
    "spatial_r18": {"name": "average"},
    "temporal_r18": {"name": "average"},
    "spatial_mobilenet_v2_035": {"name": "average"},
    "temporal_mobilenet_v2_035": {"name": "average"},
}


class Model(nn.Module):
    """Backbone: (video [N, T, H, W, 3], flow [N, T, H, W, 2 * flow_fields]) -> endpoints.

    Endpoints are those of each stream, with `_spatial` and `_temporal` behind their names,
    `features`: both streams' features, concatenated along the channels, spatial first, and `map`:
    the same of their last endpoints with time and space. Where the streams differ in their time
    steps or positions, they are averaged over time or over space.

    A spatial stream alone also takes the video by itself, which is what batches give it.

    Fields:
        spatial_network: what `models.build` makes of `spatial`.
        temporal_network: what it makes of `temporal`.
        spatial: the network of the frames, "family/variant"; "" leaves the stream out.
        temporal: the network of the flow.
        flow_fields: flow fields that a time step of the temporal stream reads, of two channels
            each; 1 in the 3D form.
        width: scales the channels of both.
    """

    spatial_network: nn.Module | None = None
    temporal_network: nn.Module | None = None
    spatial: str = _R18
    temporal: str = _R18
    flow_fields: int = 10
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.above_zero("width", self.width)
        checks.at_least("flow_fields", self.flow_fields, 1)
        reason = "the flow at a frame is that of the frames around it"
        refuse_causal(self.style, "A network of two streams", reason)
        if not self.spatial and not self.temporal:
            raise UserError("model.spatial and model.temporal are both empty; there is no stream.")

    def lacks(self) -> dict[str, str]:
        """What heads can need and this backbone does not have; see `layers.endpoints.NEEDS`."""
        lacking = {}
        for network in (self.spatial_network, self.temporal_network):
            if hasattr(network, "lacks"):
                lacking |= network.lacks()
        if not self.spatial or not self.temporal:
            lacking["streams"] = (
                "two_stream has a single one, as model.spatial or model.temporal is empty"
            )
        return lacking

    def __call__(self, video: tuple[jax.Array, jax.Array], *, train: bool) -> dict[str, jax.Array]:
        """Raises UserError for a clip without flow, and for flow of other channels."""
        frames, flow = self._streams(video)
        endpoints = {}
        features, maps = [], []
        for name, network, clip in (
            ("spatial", self.spatial_network, frames),
            ("temporal", self.temporal_network, flow),
        ):
            if network is None:
                continue
            of_stream = network(clip, train=train)
            for endpoint, value in of_stream.items():
                endpoints[f"{endpoint}_{name}"] = value
            features.append(of_stream["features"])
            maps.append(of_stream[map_name(network)])
        endpoints["features"] = _side_by_side(features)
        endpoints["map"] = _side_by_side(maps)
        return endpoints

    def _streams(
        self, video: jax.Array | tuple[jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array | None]:
        """(frames, flow) of the input, checked; a spatial stream alone needs no flow."""
        if not self.temporal and not isinstance(video, tuple | list):
            return video, None
        if not isinstance(video, tuple | list) or len(video) != 2:
            raise UserError(
                "two_stream takes a pair (video [N, T, H, W, 3], flow [N, T, H, W, "
                f"{2 * self.flow_fields}]); it was given {_in_words(video)}."
            )
        frames, flow = video
        if self.temporal and flow.shape[-1] != 2 * self.flow_fields:
            raise UserError(
                f"The flow has {flow.shape[-1]} channels; two_stream reads model.flow_fields = "
                f"{self.flow_fields} fields of two channels each."
            )
        return frames, flow


def _in_words(video: jax.Array | tuple) -> str:
    if isinstance(video, tuple | list):
        return f"{len(video)} arrays"
    return "one array"


def _side_by_side(arrays: Sequence[jax.Array]) -> jax.Array:
    """[N, T, H, W, C] of each stream -> one array with the channels of both.

    Streams of different networks may differ in size: they are averaged along what differs.
    """
    if len({x.shape[1] for x in arrays}) > 1:
        arrays = [x.mean(axis=1, keepdims=True) for x in arrays]
    if len({x.shape[2:4] for x in arrays}) > 1:
        arrays = [x.mean(axis=(2, 3), keepdims=True) for x in arrays]
    return jnp.concatenate(arrays, axis=-1)
