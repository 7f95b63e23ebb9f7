"""CNN+RNN: a 2D network frame by frame, then a recurrent network over the frames' features.

Donahue et al., Long-term Recurrent Convolutional Networks for Visual Recognition and Description,
CVPR 2015. `lstm5_*` are the five LSTM layers of 512 of Ng et al., Beyond Short Snippets: Deep
Networks for Video Classification, CVPR 2015, section 3.2, with a prediction at every frame, and
`pool_*` their temporal pooling "Conv Pooling", section 3.1.

With `frozen="backbone"` the 2D network stays as its weights are, with its statistics; with
`norm="frozen"` it is trained and the statistics stay.
"""

import flax.linen as nn
import jax

from vidjax.core.errors import UserError
from vidjax.layers import checks
from vidjax.layers.endpoints import map_name
from vidjax.layers.frames import as_clip
from vidjax.layers.style import Style

_R18, _R50 = {"backbone": "resnet2d/resnet18"}, {"backbone": "resnet2d/resnet50"}
_MOBILENET = {"backbone": "mobilenet_v2/mobilenet_v2"}

# name: fields of Model
VARIANTS = {
    "gru_r18": _R18,
    "lstm_r18": _R18,
    "gru_r50": _R50,
    "lstm_r50": _R50,
    "gru_mobilenet_v2": _MOBILENET,
    "lstm_mobilenet_v2": _MOBILENET,
    "gru_mobilenet_v2_035": {"backbone": "mobilenet_v2/mobilenet_v2_035"},
    "lstm5_r18": _R18,
    "lstm5_r50": _R50,
    "pool_r18": _R18,
    "pool_r50": _R50,
}
MAP = "features"  # the last endpoint with time and space, of most networks for images
PARTS = {"network": "backbone"}

_GRU = {"name": "recurrent", "cell": "gru", "width": 256}
_LSTM = {"name": "recurrent", "cell": "lstm", "width": 256}
_LSTM5 = {"name": "recurrent", "cell": "lstm", "width": 512, "layers": 5, "output": "growing"}
_POOL = {"name": "mlp", "pool": "max", "hidden": (4096, 4096)}
HEADS = {
    "gru_r18": _GRU,
    "lstm_r18": _LSTM,
    "gru_r50": _GRU,
    "lstm_r50": _LSTM,
    "gru_mobilenet_v2": _GRU,
    "lstm_mobilenet_v2": _LSTM,
    "gru_mobilenet_v2_035": _GRU,
    "lstm5_r18": _LSTM5,
    "lstm5_r50": _LSTM5,
    "pool_r18": _POOL,
    "pool_r50": _POOL,
}


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> the endpoints of the 2D network, each with T time steps.

    Parameters have the paths of the 2D network by itself, so that its weights fit. A network over
    clips can take its place if it keeps several time steps; otherwise UserError is raised.

    Fields:
        network: the 2D network, which `models.build` makes.
        backbone: its name, "family/variant".
        width: scales its channels.
    """

    network: nn.Module | None = None
    backbone: str = "resnet2d/resnet18"
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.above_zero("width", self.width)

    def setup(self):
        nn.share_scope(self, self.network)  # keeps its name out of parameter paths

    def lacks(self) -> dict[str, str]:
        """What heads can need and its network does not have; see `layers.endpoints.NEEDS`."""
        return self.network.lacks() if hasattr(self.network, "lacks") else {}

    @property
    def map_name(self) -> str:
        """The last endpoint of its network with time and space."""
        return map_name(self.network)

    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        endpoints = self.network(video, train=train)
        num_frames, num_steps = as_clip(video).shape[1], endpoints["features"].shape[1]
        if num_steps == 1 < num_frames:
            raise UserError(
                f"model.backbone is {self.backbone}, whose features of {num_frames} frames have "
                "one time step; take a network for images, such as 'resnet2d/resnet18'."
            )
        return endpoints
