"""The PyTorch networks of the benchmarks: published counts, and the worker that runs them.

They need PyTorch, and neither JAX nor the other fixtures. In an environment without JAX run them
with --noconftest -o addopts=
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import torch_networks, torch_programs

torch = pytest.importorskip("torch")
ROOT = Path(__file__).parents[2]

# parameters with 400 classes, multiply-adds of a clip, the clip T x H x W
COUNTS = {
    "r3d_18": (33371472, 40696553472, (16, 112, 112)),
    "mc3_18": (11695440, 43342635008, (16, 112, 112)),
    "r2plus1d_18": (31505325, 40519080960, (16, 112, 112)),
    "c2d_r50": (24327632, 25460244480, (8, 256, 256)),
    "i3d_r50": (28043472, 37103632384, (8, 256, 256)),
    "slow_r50": (32454096, 54518382592, (8, 256, 256)),
    "slowfast_r50_4x16": (34480216, 36099198976, (32, 256, 256)),
    "slowfast_r50_8x8": (34566488, 65708888064, (32, 256, 256)),
    "x3d_xs": (3794274, 605256512, (4, 160, 160)),
    "x3d_s": (3794274, 1962892112, (13, 160, 160)),
    "x3d_m": (3794274, 4732468736, (16, 224, 224)),
    "tsm_r18_8f": (11381712, 14508695552, (8, 224, 224)),
    "tsm_r50_8f": (24327632, 32697909248, (8, 224, 224)),
}


@pytest.mark.parametrize("variant", list(torch_networks.NETWORKS))
def test_counts(variant):
    parameters, multiply_adds, clip = COUNTS[variant]
    for batch in (1, 3):
        counted = torch_networks.counts(variant, (batch, *clip, 3), num_classes=400)
        assert counted == (parameters, batch * multiply_adds)


@pytest.mark.parametrize("variant", ["r2plus1d_18", "x3d_s", "tsm_r18_8f", "slowfast_r50_4x16"])
def test_layouts_agree(variant):
    """The logits are the same in both layouts."""
    common = {
        "variant": variant,
        "clip": (2, 8, 32, 32, 3),
        "num_classes": 5,
        "precision": "float32",
    }
    common |= {"step": "forward", "compiled": False, "device": "cpu"}
    one, other = (
        torch_programs.make_network({**common, "layout": f})()
        for f in ("contiguous", "channels_last_3d")
    )
    assert one.shape == (2, 5) and torch.allclose(one, other, atol=1e-5)


def test_training_changes_the_network():
    common = {
        "variant": "r3d_18",
        "clip": (2, 2, 24, 24, 3),
        "num_classes": 5,
        "precision": "float32",
    }
    step = torch_programs.make_network(
        {
            **common,
            "step": "train",
            "compiled": False,
            "device": "cpu",
            "layout": "channels_last_3d",
        }
    )
    losses = [float(step().detach()) for _ in range(3)]
    assert losses[0] != losses[1] != losses[2]


def test_the_shift_moves_an_eighth_each_way():
    from benchmarks.torch_layers import layers

    x = torch.arange(1.0, 4)[:, None, None, None].expand(3, 16, 1, 1)  # frame t holds t + 1
    y = layers().Shift(3)(x)[:, :, 0, 0]
    assert y[:, 0].tolist() == [2, 3, 0]
    assert y[:, 3].tolist() == [0, 1, 2]
    assert y[:, 4].tolist() == [1, 2, 3]


def test_the_process_answers_line_by_line():
    network = {"variant": "r3d_18", "clip": (1, 2, 16, 16, 3), "num_classes": 3, "step": "forward"}
    way = {"precision": "float32", "layout": "contiguous", "compiled": False, "device": "cpu"}
    convolution = {
        "x": (1, 2, 5, 5, 4),
        "kernel": (3, 3, 3, 2, 6),
        "stride": (1, 2, 2),
        "padding": (1, 1, 1),
    }
    convolution |= {"dilation": (1, 1, 1), "groups": 2, "step": "train"}
    asks = [
        {"do": "hello", "threads": 1},
        {"do": "make", "key": "a", "what": "network", **network, **way},
        {"do": "turn", "key": "a", "calls": 2},
        {"do": "check", "key": "a"},
        {"do": "make", "key": "b", "what": "convolution", **convolution, **way},
        {"do": "drop", "key": "a"},
        {"do": "turn", "key": "a", "calls": 1},
        {
            "do": "make",
            "key": "c",
            "what": "product",
            "size": 8,
            "precision": "bfloat16",
            "device": "cpu",
        },
        {"do": "counts", "variant": "r3d_18", "clip": (1, 2, 16, 16, 3), "num_classes": 400},
    ]
    words = [sys.executable, "-m", "benchmarks.torch_worker"]
    lines = "".join(json.dumps(ask) + "\n" for ask in asks)
    done = subprocess.run(words, input=lines, cwd=ROOT, capture_output=True, text=True, timeout=120)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(answers) == len(asks), done.stderr
    assert answers[0]["torch"] == torch.__version__ and answers[0]["threads"] == 1
    assert answers[1]["first"] > 0 and answers[2]["seconds"] > 0 and answers[3] == {"finite": True}
    assert answers[4]["first"] > 0 and answers[6] == {"error": "KeyError: 'a'"}
    assert answers[7]["first"] > 0 and answers[8]["parameters"] == 33371472
