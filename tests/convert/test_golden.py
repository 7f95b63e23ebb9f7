"""Every golden file through `convert.load`.

The peer's outputs to 1e-5, every entry used, one peer recognised.

`tests/golden` holds what published networks compute for weights that its `fill.py` makes again.
Those files are read in the default suite; a larger collection, `shared/golden` beside the project,
under the marker `golden`.
"""

import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert import peers
from vidjax.ops.conv.rule import LOWERINGS

ROOT = Path(__file__).parents[2]
HERE, SHARED = ROOT / "tests" / "golden", ROOT.parent / "shared" / "golden"
STAGES = {"stem": "stem", **{f"layer{i}": f"stage{i}" for i in (1, 2, 3, 4)}}


def load_module(path):
    """A Python file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


golden = load_module(HERE / "fill.py")


def read(path):
    """(manifest, outputs) of a golden file."""
    with np.load(path) as file:
        arrays = dict(file)
    return json.loads(str(arrays.pop("manifest"))), arrays


def video(inputs):
    """The clip, the image or the pathways of a manifest, channels last."""
    clips = [np.moveaxis(golden.clip(i["seed"], i["shape"]), 1, -1) for i in inputs]
    return clips[0] if len(clips) == 1 else tuple(clips)


def forward(module, video):
    """The outputs as the golden files name them."""
    endpoints, logits = module.endpoints_and_logits(video)
    out = {"logits": logits, "features": endpoints["features"]}
    means = {
        f"endpoint_{theirs}_mean": endpoints[ours].mean((1, 2, 3))
        for theirs, ours in STAGES.items()
        if ours in endpoints
    }
    return out | means


def compare(got, expected, name):
    value = np.float64(got["logits"] if name == "logits_per_t" else got[name])
    if name == "logits_per_t":  # [N, classes, T]: ours are their mean
        expected = expected.mean(-1)
    assert value.size == expected.size, f"{name}: {value.shape}, {expected.shape}"
    error = np.linalg.norm(value.ravel() - expected.ravel()) / np.linalg.norm(expected)
    assert error <= 1e-5, f"{name}: {error:.1e}"


def check(path, lowering="auto"):
    """Loads a golden file's weights without a word on what they are, and compares every output."""
    about, expected = read(path)
    source = golden.state_dict(about["state_dict"])
    assert len([name for name in peers.names() if peers.peer(name).recognises(source)]) == 1
    module, variables = convert.load(source)
    module = models.with_style(module, lowering=lowering)
    program = jax.jit(lambda *args: module.apply(*args, method=forward))
    got = program(variables, video(about["inputs"]))
    for name, value in expected.items():
        compare(got, value, name)
    check_everything_is_used(source, variables)
    assert sum(a.size for a in jax.tree.leaves(variables["params"])) == about["num_parameters"]


def check_everything_is_used(source, variables):
    """The same numbers on both sides, whatever their names and the order of axes."""
    used = [a for name, a in source.items() if not name.endswith("num_batches_tracked")]
    for leaves in (filled := jax.tree.leaves(variables)), used:
        assert all(a.dtype == np.float32 for a in leaves)
    prints = [
        sorted((a.size, round(float(np.float64(a).sum()), 6)) for a in leaves)
        for leaves in (filled, used)
    ]
    assert prints[0] == prints[1]


def name_of(path):
    return f"{path.parent.name}/{path.stem}" if path else "none"


OWN_FILES = sorted(HERE.glob("*/*.npz"))
# of each peer one file is in the default suite, and these are a sweep
SWEPT = {"torchvision/mc3_18", "torchvision/r3d_18", "pytorchvideo/slowfast_r50"}
SWEPT |= {f"3d-resnets-pytorch/{name}" for name in ("preact_resnet_18", "resnext_50")}
SWEPT |= {"3d-resnets-pytorch/densenet_121"}
SHARED_FILES = sorted(SHARED.glob("*/*.npz"))


def files_of_the_suite():
    rows = []
    for path in OWN_FILES:
        marks = [pytest.mark.sweep] if name_of(path) in SWEPT else []
        rows.append(pytest.param(path, marks=marks, id=name_of(path)))
    return rows


@pytest.mark.parametrize("path", files_of_the_suite())
def test_outputs_are_the_peers(path):
    check(path)


@pytest.mark.golden
@pytest.mark.skipif(not SHARED_FILES, reason="there is no larger collection beside the project")
@pytest.mark.parametrize("path", SHARED_FILES or [None], ids=name_of)
def test_outputs_are_the_peers_in_the_larger_collection(path):
    check(path)


@pytest.mark.golden
@pytest.mark.parametrize("lowering", [name for name in LOWERINGS if name != "auto"])
@pytest.mark.parametrize("path", OWN_FILES, ids=name_of)
def test_each_lowering_gives_the_same(path, lowering):
    check(path, lowering)
