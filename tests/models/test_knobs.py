"""The choices that families share by name: each changes the description and what is computed.

One cheap family stands for all; the others are a sweep. A family without a choice refuses it by
name, and the table in docs/knobs.md says which has which.
"""

import dataclasses
import json
import re
import zlib
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.core.errors import UserError
from vidjax.layers import knobs
from vidjax.layers.branch import drop_rates

CHEAP = "tiny3d"
SHARED = (*knobs.KNOBS, "batch_groups")
TEMPORAL = ("temporal_kernels", "temporal_strides", "temporal_dilations")
DOCS = Path(__file__).parents[2] / "docs" / "knobs.md"
NETWORKS_2D = (
    "googlenet",
    "mobilenet_v2",
    "resnet2d",
    "tsm",
)  # and no temporal convolution in any variant


@dataclasses.dataclass(frozen=True)
class Case:
    """A small network of a family, and values for its temporal fields."""

    variant: str = ""  # the first one
    fields: tuple = ()
    kernels: tuple[int, ...] = (0, 5, 0, 0, 0)  # five taps in place of three
    strides: tuple[int, ...] = (0, 0, 1, 0, 0)  # one frame in place of two
    dilations: tuple[int, ...] = (0, 2, 0, 0, 0)
    clip: tuple[int, int, int] = (9, 32, 32)


ONE_BLOCK = (("depths", (1, 1, 1, 1)),)
CASES = {
    "c3d": Case("c3d_bn"),
    "convcolumn": Case("conv_column_6", kernels=(0, 3, 0, 0, 0), clip=(24, 78, 78)),
    "fusion": Case(
        "slow_fusion", (("num_frames", 16),), kernels=(0, 3, 0, 0, 0), clip=(16, 48, 48)
    ),
    "densenet3d": Case(strides=(0, 0, 1, 0, 0)),
    "googlenet": Case(clip=(9, 64, 64)),
    "i3d": Case(strides=(0, 0, 0, 1, 0), clip=(17, 64, 64)),
    "resnet2d": Case("resnet18", ONE_BLOCK),
    "resnet3d": Case("r2plus1d_10"),
    "resnet3d_50": Case("i3d_r50", ONE_BLOCK, strides=(0, 1, 0, 0, 0)),
    "s3d": Case(strides=(0, 0, 0, 1, 0), clip=(17, 64, 64)),
    "slowfast": Case(strides=(0, 0, 2, 0, 0), clip=(16, 32, 32)),
    "tiny3d": Case(kernels=(0, 5, 0, 0), strides=(0, 0, 1, 0), dilations=(0, 2, 0, 0)),
    "tsm": Case("tsm_r18_8f", ONE_BLOCK),
    "x3d": Case("x3d_s", (("depth_factor", 0.4),), strides=(0, 0, 2, 0, 0)),
}


def value_of(name, knob):
    case = CASES.get(name, Case())
    return {
        "temporal_kernels": case.kernels,
        "temporal_strides": case.strides,
        "temporal_dilations": case.dilations,
        "stochastic_depth": 0.5,
        "squeeze_excite": 0.25,
        "non_local": (2,),
        "remat_blocks": True,
        "batch_groups": 2,
    }[knob]


def build(name, **fields):
    case = CASES.get(name, Case())
    variant = case.variant or next(iter(models.family(name).VARIANTS))
    small = dict(case.fields)
    return models.build(
        name, variant=variant, num_classes=3, width=0.1, lowering="native", **small, **fields
    )


def clips_of(name):
    shape = (4, *CASES.get(name, Case()).clip, 3)
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def shapes_of(module, video):
    """path: shape and type, of all variables."""
    shapes = jax.eval_shape(lambda video: module.init(jax.random.key(0), video), video)
    return flax.traverse_util.flatten_dict(shapes, sep="/")


def random_leaf(path, shape):
    """Values that depend on the path alone, so that networks have those in common that they can."""
    rng = np.random.default_rng(zlib.crc32(path.encode()))
    values = rng.standard_normal(shape, np.float32)
    if path.endswith("kernel"):
        return values * np.sqrt(2 / np.prod(shape[:-1], dtype=np.float32))
    return 0.5 + 0.1 * np.abs(values)


def random_variables(shapes):
    leaves = {path: random_leaf(path, leaf.shape) for path, leaf in shapes.items()}
    return flax.traverse_util.unflatten_dict(leaves, sep="/")


def with_more_taps(usual, shapes, *, outer):
    """The usual variables with each shorter kernel inside a longer one, `outer` at its new taps."""
    flat = flax.traverse_util.flatten_dict(usual, sep="/")
    leaves = {}
    for path, leaf in shapes.items():
        values = flat[path]
        if leaf.shape != values.shape:
            missing = leaf.shape[0] - values.shape[0]
            around = ((missing // 2, missing - missing // 2), *((0, 0),) * (values.ndim - 1))
            values = np.pad(values, around, constant_values=outer)
        leaves[path] = values
    return flax.traverse_util.unflatten_dict(leaves, sep="/")


def outputs(module, variables, video):
    """The backbone's features in training and in evaluation, each as one array."""

    def run(variables, video, train):
        rngs = {"dropout": jax.random.key(3)}
        (endpoints, _), _ = module.apply(
            variables,
            video,
            train=train,
            mutable=["batch_stats"],
            rngs=rngs,
            method="endpoints_and_logits",
        )
        return endpoints["features"]

    both = jax.jit(lambda variables, video: [run(variables, video, t) for t in (True, False)])
    return [np.asarray(array) for array in both(variables, video)]


def differ(one, other):
    return one.shape != other.shape or np.abs(one - other).max() > 1e-4 * np.abs(one).max()


def sweep(pairs):
    marked = []
    for name, knob in pairs:
        marks = () if name == CHEAP else pytest.mark.sweep
        marked.append(pytest.param(name, knob, marks=marks))
    return marked


def can_choose(name, knob):
    if knob == "batch_groups":
        return name != "fusion"  # a field of Style, so it is in every list
    return knob in models.fields(name)


FAMILIES = [name for name in models.names() if name not in knobs.WITHOUT]
CHOICES = [(name, knob) for name in FAMILIES for knob in SHARED if can_choose(name, knob)]
REFUSALS = [(name, knob) for name in FAMILIES for knob in SHARED if not can_choose(name, knob)]


@pytest.mark.parametrize("name, knob", CHOICES)
def test_the_description_changes(name, knob):
    value = value_of(name, knob)
    module = build(name, **{knob: value})
    described = models.describe(module)
    assert described["fields"][knob] == value
    assert knob not in models.describe(build(name))["fields"]
    assert models.from_description(json.loads(json.dumps(described)), lowering="native") == module


@pytest.mark.parametrize("name, knob", REFUSALS)
def test_a_family_without_it_refuses_it_by_name(name, knob):
    with pytest.raises(UserError, match=f"so model.{knob} cannot be chosen"):
        build(name, **{knob: value_of(name, knob)})


def test_a_family_with_gates_of_its_own_names_their_field():
    with pytest.raises(UserError, match="x3d has gates of its own, which are model.squeeze_ratio"):
        build("x3d", squeeze_excite=0.25)


@pytest.mark.parametrize("name, knob", sweep(CHOICES))
def test_an_output_changes(name, knob):
    """Of a network with random parameters, in training if it is a choice of training."""
    video = clips_of(name)
    chosen = build(name, **{knob: value_of(name, knob)})
    usual_shapes, shapes = shapes_of(build(name), video), shapes_of(chosen, video)
    usual_variables = random_variables(usual_shapes)
    usual = outputs(build(name), usual_variables, video)
    if knob == "temporal_kernels":
        check_more_taps(name, chosen, usual_variables, usual, video=video)
        return
    trained, evaluated = outputs(chosen, random_variables(shapes), video)
    new_paths = set(shapes) - set(usual_shapes)
    if knob in ("squeeze_excite", "non_local"):
        assert new_paths and {path.split("/")[-3] for path in new_paths} <= new_modules(knob)
        assert differ(trained, usual[0]) and differ(evaluated, usual[1])
    elif knob in ("temporal_strides", "temporal_dilations"):
        assert differ(trained, usual[0]) and differ(evaluated, usual[1])
    elif knob in ("stochastic_depth", "batch_groups"):
        assert not new_paths and differ(trained, usual[0])
        assert not differ(evaluated, usual[1])
    else:
        assert not new_paths and not differ(trained, usual[0])


def check_more_taps(name, chosen, usual_variables, usual, *, video):
    """Zeros at the new taps leave the output as it was, other values do not."""
    shapes = shapes_of(chosen, video)
    zeros = with_more_taps(usual_variables, shapes, outer=0)
    assert any(
        leaf.shape != shapes[path].shape
        for path, leaf in flax.traverse_util.flatten_dict(usual_variables, sep="/").items()
    )
    if name not in ("convcolumn", "fusion"):  # they pad in ways of their own
        for one, other in zip(outputs(chosen, zeros, video), usual, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max())
    filled = with_more_taps(usual_variables, shapes, outer=0.1)
    for one, other in zip(outputs(chosen, filled, video), usual, strict=True):
        assert differ(one, other)


def new_modules(knob):
    if knob == "squeeze_excite":
        return {"squeeze_excite"}
    return {f"stage{stage}_non_local" for stage in range(1, 8)}


@pytest.mark.parametrize("name", [name for name in FAMILIES if can_choose(name, TEMPORAL[0])])
def test_short_clips_leave_something_or_a_sentence(name):
    """Larger strides and dilations on clips of one and of three frames."""
    case = CASES.get(name, Case())
    strides = tuple(3 * (entry > 0) for entry in case.strides)
    dilations = tuple(4 * (entry > 0) for entry in case.dilations)
    try:
        module = build(name, temporal_strides=strides, temporal_dilations=dilations)
    except UserError as error:
        assert name == "fusion" and "num_frames" in str(error)
        return
    for frames in (1, 3):
        video = jax.ShapeDtypeStruct((1, frames, *case.clip[1:], 3), jnp.float32)
        try:
            endpoints, _ = jax.eval_shape(
                lambda video: module.init_with_output(
                    jax.random.key(0), video, method="endpoints_and_logits"
                )[0],
                video,
            )
        except UserError as error:
            assert name == "convcolumn" and "takes clips of 24x78x78" in str(error)
        else:
            assert all(endpoint.size > 0 for endpoint in endpoints.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_without_temporal_fields_has_no_temporal_kernel(name):
    assert can_choose(name, TEMPORAL[0]) == (name not in NETWORKS_2D)
    if name in NETWORKS_2D:
        for variant in models.family(name).VARIANTS:
            module = models.build(name, variant=variant, num_classes=3, width=0.1)
            shapes = shapes_of(module, jax.ShapeDtypeStruct((1, 2, 32, 32, 3), jnp.float32))
            kernels = [leaf.shape for leaf in shapes.values() if len(leaf.shape) == 5]
            assert kernels and all(shape[0] == 1 for shape in kernels)


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"temporal_dilations": (2,)}, "temporal_dilations is \\(2,\\); it has 5 entries here"),
        ({"temporal_kernels": (4, 0, 0, 0, 0)}, "temporal_kernels has the entry 4; each is odd"),
        ({"temporal_kernels": (-3, 0, 0, 0, 0)}, "temporal_kernels is -3; it is 0 or more"),
        ({"temporal_strides": (0, 0, 2, 0, 0)}, "but stage 2 has nothing that steps in time"),
        ({"stochastic_depth": 1.0}, "stochastic_depth is 1.0; it is at least 0 and less than 1"),
        ({"squeeze_excite": 2.0}, "squeeze_excite is 2.0; it is at least 0, at most 1"),
        ({"non_local": (5,)}, "non_local has the entry 5; the stages here are 1 to 4"),
        ({"non_local": (3, 3)}, "non_local is \\(3, 3\\); each stage stands in it once"),
        ({"batch_groups": 0}, "batch_groups is 0; it is 1 or more"),
        ({"batch_groups": 2, "norm": "group"}, "batch_groups is 2, but the norm 'group' takes no"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        models.build("resnet3d", variant="mc3_18", num_classes=3, **fields)


def test_early_fusion_cannot_dilate_a_kernel_of_all_frames():
    def early(**fields):
        return models.build("fusion", variant="early_fusion", num_classes=3, **fields)

    with pytest.raises(UserError, match="covers all 10 frames; choose fewer by model.temporal_ker"):
        early(temporal_dilations=(2, 0, 0, 0, 0))
    with pytest.raises(UserError, match="model.num_frames is 10; it is 13 or more"):
        early(temporal_dilations=(3, 0, 0, 0, 0), temporal_kernels=(5, 0, 0, 0, 0))
    early(temporal_dilations=(2, 0, 0, 0, 0), temporal_kernels=(5, 0, 0, 0, 0))


def test_groups_that_do_not_divide_the_batch_are_refused():
    module = build(CHEAP, batch_groups=3)
    video = jax.ShapeDtypeStruct((4, 3, 16, 16, 3), jnp.float32)
    with pytest.raises(UserError, match="A batch of 4 clips cannot be divided into .*groups=3"):
        jax.eval_shape(lambda video: module.init(jax.random.key(0), video, train=True), video)


def test_rates_grow_linearly_up_to_the_last_block():
    first, second = drop_rates(0.6, (1, 2))
    np.testing.assert_allclose((*first, *second), (0.2, 0.4, 0.6))


def test_the_table_in_the_docs_is_true():
    """A row of a choice has "yes" in the columns of the families that have it."""
    rows = [line.strip("|").split("|") for line in DOCS.read_text().splitlines() if "|" in line]
    header, _, *rows = [[cell.strip().strip("`") for cell in row] for row in rows]
    assert header[1:] == [*SHARED]
    assert [row[0] for row in rows] == FAMILIES
    for name, *cells in rows:
        for knob, cell in zip(SHARED, cells, strict=True):
            assert cell in ("yes", "-"), (name, knob)
            assert (cell == "yes") == can_choose(name, knob), (name, knob)


def test_every_choice_is_described_in_the_docs():
    text = DOCS.read_text()
    for knob in SHARED:
        assert re.search(rf"^- `{knob}`", text, re.MULTILINE), knob
