"""pseudo-3d-pytorch through `convert.load`.

Variants recognised, and refused where they do not fit.
"""

import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert import peers
from vidjax.core.errors import ConvertError
from vidjax.models.p3d import VARIANTS


def state_dict(depths, num_classes=7, scale=1.0):
    """Names and shapes of a network there, as arrays of zeros."""
    shapes, side = {}, lambda channels: round(channels * scale)

    def unit(conv, norm, *shape):
        shapes[f"{conv}.weight"] = shape
        shapes.update(
            {
                f"{norm}.{entry}": shape[:1]
                for entry in ("weight", "bias", "running_mean", "running_var")
            }
        )
        shapes[f"{norm}.num_batches_tracked"] = ()

    unit("conv1_custom", "bn1", side(64), 3, 1, 7, 7)
    before = side(64)
    for stage, depth in enumerate(depths, start=1):
        inner, out, one = (
            side(32 * 2**stage),
            side(128 * 2**stage),
            (1, 1, 1) if stage < 4 else (1, 1),
        )
        for block in range(depth):
            prefix = f"layer{stage}.{block}"
            if block == 0:
                unit(f"{prefix}.downsample.0", f"{prefix}.downsample.1", out, before, *one)
            unit(f"{prefix}.conv1", f"{prefix}.bn1", inner, before, *one)
            if stage < 4:
                unit(f"{prefix}.conv2", f"{prefix}.bn2", inner, inner, 1, 3, 3)
                unit(f"{prefix}.conv3", f"{prefix}.bn3", inner, inner, 3, 1, 1)
            else:
                unit(f"{prefix}.conv_normal", f"{prefix}.bn_normal", inner, inner, 3, 3)
            unit(f"{prefix}.conv4", f"{prefix}.bn4", out, inner, *one)
            before = out
    shapes |= {"fc.weight": (num_classes, before), "fc.bias": (num_classes,)}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_and_classes_are_recognised(variant):
    source = state_dict(VARIANTS[variant]["depths"], num_classes=11)
    assert [name for name in peers.names() if peers.peer(name).recognises(source)] == [
        "pseudo_3d_pytorch"
    ]
    module = peers.peer("pseudo_3d_pytorch").network(source)
    assert module == models.build("p3d", variant=variant, num_classes=11)


def test_a_narrow_model_is_filled_and_all_that_does_not_fit_is_listed():
    source = state_dict((1, 1, 1, 1), scale=0.125)
    module = models.build("p3d", variant="p3d_17", num_classes=7, width=0.125)
    assert convert.load(source, module)[0] is module
    lost = (
        "conv1_custom.weight",
        "layer4.0.conv_normal.weight",
        "layer2.0.downsample.1.bias",
        "fc.weight",
    )
    for name in lost:
        del source[name]
    with pytest.raises(ConvertError) as caught:
        convert.load(source | {"layer4.0.conv2.weight": np.zeros(3)}, module)
    assert all(f"{name} is missing" in str(caught.value) for name in lost)
    assert (
        "layer4.0.conv2.weight is left over" in str(caught.value)
        and len(str(caught.value).splitlines()) == 6
    )


def test_a_depth_that_is_no_variant_is_refused():
    with pytest.raises(ConvertError, match=r"\(3, 4, 5, 3\) blocks is not a variant of p3d"):
        convert.load(state_dict((3, 4, 5, 3)))
