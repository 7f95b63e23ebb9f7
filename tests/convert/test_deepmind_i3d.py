"""The checkpoints of I3D's authors.

Written, read, converted, and compared with what TensorFlow makes of them.
"""

import sys

import jax
import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert import peers
from vidjax.convert.formats import tensorflow_checkpoint
from vidjax.core.errors import ConvertError

WIDTH = 0.1
BLOCKS = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
POOLS = {"4b": (3, 2), "5b": (2, 2)}  # before a block: window, stride


class Original:
    """The authors' network by its variables' names.

    `variable` makes the variables, or uses those that are given.
    """

    def __init__(
        self, variables=None, *, scope="RGB/inception_i3d/", width=1.0, vector=lambda size: (size,)
    ):
        self.making, self.variables = variables is None, variables or {}
        self.scope, self.width, self.vector = scope, width, vector
        self.rng = np.random.default_rng(0)

    def logits(self, x, num_classes):
        """[N, T, H, W, C] -> [N, classes].

        VALID average of 2x7x7, a 1x1x1 convolution, the mean over time.
        """
        import tensorflow as tf

        x = self.unit("Conv3d_1a_7x7", x, 64, 7, 2)
        x = tf.nn.max_pool3d(x, (1, 3, 3), (1, 2, 2), "SAME")
        x = self.unit("Conv3d_2b_1x1", x, 64, 1)
        x = self.unit("Conv3d_2c_3x3", x, 192, 3)
        x = tf.nn.max_pool3d(x, (1, 3, 3), (1, 2, 2), "SAME")
        for name, channels in BLOCKS.items():
            if name in POOLS:
                x = tf.nn.max_pool3d(x, *POOLS[name], "SAME")
            x = self.block(f"Mixed_{name}", x, channels)
        x = tf.nn.avg_pool3d(
            x, [min(k, size) for k, size in zip((2, 7, 7), x.shape[1:4], strict=True)], 1, "VALID"
        )
        w = self.variable("Logits/Conv3d_0c_1x1/conv_3d/w", (1, 1, 1, x.shape[-1], num_classes))
        b = self.variable("Logits/Conv3d_0c_1x1/conv_3d/b", (num_classes,))
        return tf.reduce_mean(tf.nn.conv3d(x, w, [1] * 5, "SAME") + b, (1, 2, 3)).numpy()

    def block(self, name, x, channels):
        """Four branches.

        In one block the second convolution of a branch has another name than in the eight others.
        """
        import tensorflow as tf

        a, b, c, d, e, f = channels
        odd = "Conv3d_0a_3x3" if name == "Mixed_5b" else "Conv3d_0b_3x3"
        branch1 = self.unit(f"{name}/Branch_1/Conv3d_0a_1x1", x, b)
        branch2 = self.unit(f"{name}/Branch_2/Conv3d_0a_1x1", x, d)
        pooled = tf.nn.max_pool3d(x, 3, 1, "SAME")
        return tf.concat(
            [
                self.unit(f"{name}/Branch_0/Conv3d_0a_1x1", x, a),
                self.unit(f"{name}/Branch_1/Conv3d_0b_3x3", branch1, c, 3),
                self.unit(f"{name}/Branch_2/{odd}", branch2, e, 3),
                self.unit(f"{name}/Branch_3/Conv3d_0b_1x1", pooled, f),
            ],
            axis=-1,
        )

    def unit(self, name, x, channels, size=1, stride=1):
        """Convolution, normalisation without a scale, ReLU."""
        import tensorflow as tf

        channels = max(1, round(channels * self.width))
        w = self.variable(f"{name}/conv_3d/w", (size, size, size, x.shape[-1], channels))
        ends, vector = ("moving_mean", "moving_variance", "beta"), self.vector(channels)
        mean, variance, beta = (self.variable(f"{name}/batch_norm/{end}", vector) for end in ends)
        x = tf.nn.conv3d(x, w, (1, stride, stride, stride, 1), "SAME")
        return tf.nn.relu((x - mean) / tf.sqrt(variance + 1e-3) + beta)

    def variable(self, name, shape):
        """The array of a name, drawn where the variables are being made."""
        name = self.scope + name
        if self.making:
            values = self.rng.standard_normal(shape, np.float32)
            if len(shape) == 5 and name.endswith("/w"):
                values *= np.sqrt(2 / np.prod(shape[:-1], dtype=int), dtype=np.float32)
            self.variables[name] = 1 + 0.2 * np.abs(values) if name.endswith("variance") else values
        return self.variables[name]


def save(prefix, variables):
    """A checkpoint of TensorFlow 1."""
    import tensorflow as tf

    names = list(variables)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(variables[name]) for name in names],
    )


def make(clip, **fields):
    """(variables, logits) of the authors' network."""
    original = Original(**fields)
    logits = original.logits(clip, num_classes=5)
    return original.variables, logits


def module_for(variant):
    return models.build("i3d", variant=variant, num_classes=5, width=WIDTH)


@pytest.mark.parametrize(
    "variant, scope, vector",
    [
        pytest.param(
            "i3d_inception_flow",
            "Flow/inception_i3d/",
            lambda size: (size,),
            id="flow",
            marks=pytest.mark.sweep,
        ),
        # the Kinetics-600 one
        pytest.param(
            "i3d_inception",
            "",
            lambda size: (1, 1, 1, 1, size),
            id="rgb600",
            marks=pytest.mark.sweep,
        ),
    ],
)
def test_outputs_are_the_authors(tmp_path, variant, scope, vector):
    """The same logits after a file of TensorFlow, with all that training leaves in it."""
    module = module_for(variant)
    clip = np.random.default_rng(1).standard_normal(
        (1, 9, 37, 70, module.backbone.in_channels), np.float32
    )
    variables, expected = make(clip, scope=scope, width=WIDTH, vector=vector)
    slots = {
        f"{name}/Momentum": np.zeros_like(a)
        for name, a in variables.items()
        if "moving" not in name
    }
    save(
        tmp_path / "model.ckpt",
        variables | slots | {"global_step": np.int64(7), "beta1_power": np.float32(0.9)},
    )

    source = tensorflow_checkpoint.read(tmp_path / "model.ckpt")
    assert set(source) == set(variables)
    assert [name for name in peers.names() if peers.peer(name).recognises(source)] == [
        "deepmind_i3d"
    ]
    _, ours = convert.load(source, module)
    logits = jax.jit(module.apply)(ours, clip)
    assert np.linalg.norm(logits - expected) / np.linalg.norm(expected) < 1e-5


def whole(channels=3, scope="RGB/inception_i3d/"):
    """The variables of a network of full width, of zeros; only shapes are looked at."""
    clip = np.zeros((1, 1, 1, 1, channels), np.float32)
    shapes = {name: a.shape for name, a in make(clip, scope=scope)[0].items()}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def test_variant_and_classes_are_recognised():
    colour = whole()
    assert len(colour) == 230  # as in the published file
    flow = {name.replace("RGB", "Flow"): a for name, a in colour.items()}
    flow["Flow/inception_i3d/Conv3d_1a_7x7/conv_3d/w"] = np.zeros((7, 7, 7, 2, 64), np.float32)
    for source, variant in ((colour, "i3d_inception"), (flow, "i3d_inception_flow")):
        module, variables = convert.load(source)
        assert module == models.build("i3d", variant=variant, num_classes=5)
        scales = [a for path, a in jax.tree.leaves_with_path(variables) if path[-1].key == "scale"]
        assert len(scales) == 57 and all((scale == 1).all() for scale in scales)

    with pytest.raises(
        ConvertError,
        match="2 networks, Flow/inception_i3d/, RGB/inception_i3d/: give the variables",
    ):
        convert.load(colour | flow)
    del colour["RGB/inception_i3d/Mixed_5b/Branch_2/Conv3d_0a_3x3/batch_norm/beta"]
    with pytest.raises(
        ConvertError,
        match="5b/Branch_2/Conv3d_0a_3x3/batch_norm/beta is missing, for params/.*/bias",
    ):
        convert.load(colour)


def test_what_is_no_checkpoint_is_said(tmp_path):
    with pytest.raises(
        ConvertError, match="nothing.ckpt cannot be read as a TensorFlow checkpoint: .*nothing.ckpt"
    ):
        tensorflow_checkpoint.read(tmp_path / "nothing.ckpt")
    (tmp_path / "model.ckpt.index").write_bytes(b"no table at all" * 9)
    with pytest.raises(
        ConvertError, match="model.ckpt cannot be read as a TensorFlow checkpoint: "
    ):
        tensorflow_checkpoint.read(tmp_path / "model.ckpt")
    save(tmp_path / "cut.ckpt", {"a": np.zeros(99, np.float32)})
    next(tmp_path.glob("cut.ckpt.data*")).write_bytes(b"")
    with pytest.raises(
        ConvertError, match="cut.ckpt cannot .* its variables have 396 bytes, the files beside it 0"
    ):
        tensorflow_checkpoint.read(tmp_path / "cut.ckpt")


def test_without_tensorflow_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(
        ConvertError, match="model.ckpt is a TensorFlow checkpoint: reading it needs TensorFlow"
    ):
        tensorflow_checkpoint.read(tmp_path / "model.ckpt")
