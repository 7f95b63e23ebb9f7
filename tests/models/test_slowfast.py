"""SlowFast: published sizes, two pathways from one clip, and clips that alpha does not divide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.models.slowfast import VARIANTS, pathways, slow_frames


def build(variant="slowfast_r14", num_classes=5, **fields):
    return models.build("slowfast", variant=variant, num_classes=num_classes, **fields)


def first_stage(module, variables, video):
    """The slow pathway's stem and first stage."""
    endpoints = module.apply(variables, video, method=lambda m, x: m.backbone(x, train=False))
    return endpoints["stem"], endpoints["stage1"]


def abstract(module, *shapes):
    """(variables, video) as shapes, computing nothing; two shapes are the two pathways."""
    video = tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    video = video if len(shapes) == 2 else video[0]
    return jax.eval_shape(
        lambda video: module.init(jax.random.key(0), video, train=False), video
    ), video


@pytest.mark.sweep  # test_published.py counts nearly all of these, too
@pytest.mark.parametrize(
    "variant, num_classes, params",
    [
        ("slowfast_r50_4x16", 400, 34480216),
        ("slowfast_r50_8x8", 400, 34566488),
        ("slowfast_r101_8x8", 400, 62826968),
        ("slowfast_r101_16x8", 400, 53774808),
    ],
)
def test_parameters_are_the_published(variant, num_classes, params):
    variables, _ = abstract(build(variant, num_classes), (1, 8, 16, 16, 3))
    assert counts.num_parameters(variables) == params


@pytest.mark.sweep  # test_published.py counts nearly all of these, too
def test_multiply_adds_are_the_published():
    module = build("slowfast_r50_8x8", 400)
    rows = counts.endpoints(module, *abstract(module, (1, 32, 256, 256, 3)))
    assert sum(row.multiply_adds for row in rows) / 1e9 == pytest.approx(65.712, rel=1e-3)


def test_shapes_of_endpoints():
    """Table 1 of the paper, 4 slow and 32 fast frames, at 256 pixels."""
    module = build("slowfast_r50_4x16", 400)
    rows = counts.endpoints(module, *abstract(module, (1, 32, 256, 256, 3)))
    assert sum(row.multiply_adds for row in rows) / 1e9 == pytest.approx(36.099, rel=1e-3)
    shapes = {row.name: row.shapes[0][1:] for row in rows}
    names, sides = ("stem", "stage1", "stage2", "stage3", "stage4"), (64, 64, 32, 16, 8)
    for name, side, channels in zip(names, sides, (64, 256, 512, 1024, 2048), strict=True):
        assert shapes[name] == (4, side, side, channels)
        assert shapes[f"{name}_fast"] == (32, side, side, channels // 8)
    assert shapes["features"] == (1, 1, 1, 2304)


@pytest.mark.parametrize(
    "num_frames, alpha, expected",
    [
        (32, 4, [0, 4, 8, 13, 17, 22, 26, 31]),
        (32, 8, [0, 10, 20, 31]),
        (10, 4, [0, 9]),
        (7, 4, [0]),
        (3, 4, [0]),
        (1, 8, [0]),
        (3, 1, [0, 1, 2]),
    ],
)
def test_frames_of_the_slow_pathway(num_frames, alpha, expected):
    """torch.linspace(0, T - 1, T // alpha).long(), by hand; at least one frame."""
    assert slow_frames(num_frames, alpha) == expected


@pytest.mark.parametrize("num_frames, slow", [(8, [0, 7]), (10, [0, 9]), (1, [0])])
def test_one_clip_is_cut_into_both_pathways(num_frames, slow):
    clip = np.arange(num_frames * 2.0).reshape(1, num_frames, 1, 2, 1)
    cut = pathways(jnp.asarray(clip), 4)
    np.testing.assert_array_equal(cut[0], clip[:, slow])
    np.testing.assert_array_equal(cut[1], clip)
    assert [a.shape for a in pathways(cut, 4)] == [
        a.shape for a in cut
    ]  # and goes through as it is


def test_the_lateral_connection_carries_motion():
    """What only the fast pathway sees changes the slow one's first stage, and not its stem."""
    module = build(width=0.1)
    clip = np.random.default_rng(0).standard_normal((1, 8, 16, 16, 3), np.float32)
    other = np.array(clip)
    other[:, 3] += 1  # between the slow frames 0 and 7
    variables = jax.tree.map(
        lambda a: np.full(a.shape, 0.1, np.float32), abstract(module, clip.shape)[0]
    )
    run = jax.jit(lambda v, x: first_stage(module, v, x))
    (stem, stage1), (other_stem, other_stage1) = run(variables, clip), run(variables, other)
    np.testing.assert_array_equal(stem, other_stem)
    assert np.abs(stage1 - other_stage1).max() > 1e-3


@pytest.mark.parametrize("slow", [2, 3])
def test_slow_frames_may_be_as_many_as_lateral_ones(slow):
    """Nine frames at a stride of four: two slow frames, as one clip has, or three."""
    module = build()
    rows = counts.endpoints(module, *abstract(module, (1, slow, 16, 16, 3), (1, 9, 16, 16, 3)))
    frames = {row.name: row.shapes[0][1] for row in rows}
    assert frames["stage4"] == slow and frames["stage4_fast"] == 9


@pytest.mark.parametrize(
    "shapes, message",
    [
        (
            ((1, 4, 16, 16, 3), (1, 9, 16, 16, 3)),
            "with alpha 4 the slow pathway has 2 frames of the same size",
        ),
        (((1, 2, 16, 16, 3), (1, 8, 16, 18, 3)), "do not go together"),
        (((1, 2, 16, 16, 3), (2, 8, 16, 16, 3)), "do not go together"),
    ],
)
def test_pathways_that_do_not_fit_are_refused(shapes, message):
    with pytest.raises(UserError, match=message):
        abstract(build(), *shapes)


def test_a_third_pathway_and_no_alpha_are_refused():
    clip = jnp.zeros((1, 8, 16, 16, 3))
    with pytest.raises(UserError, match="there are 3 pathways"):
        build().init(jax.random.key(0), (clip, clip, clip))
    with pytest.raises(UserError, match="model.alpha is 0; it is 1 or more"):
        build(alpha=0)


def test_width_and_beta_scale_the_pathways():
    rows = counts.endpoints(
        module := build(width=0.5, beta=0.25), *abstract(module, (1, 8, 16, 16, 3))
    )
    channels = {row.name: row.shapes[0][-1] for row in rows}
    assert (
        channels["stem"],
        channels["stem_fast"],
        channels["stage4"],
        channels["stage4_fast"],
    ) == (32, 8, 1024, 256)
    assert channels["features"] == 1280


# T, slow frames and strides by stage: of 16 frames, 10 (rounded down), 9 (a pair, rounded up) and 3
JOINED = [
    (16, (0, 5, 10, 15), ()),
    (10, (0, 9), ()),
    (9, (0, 4, 8), ()),
    (3, (0,), ()),
    (16, (0, 5, 10, 15), (0, 0, 2, 0, 2)),
    (32, (0, 4, 8, 13, 17, 22, 26, 31), (2, 0, 0, 2, 0)),
]


def endpoints_of_times(num_frames, slow_frames, strides):
    """Endpoints whose values are the numbers of frames in the clip: [1, T', 1, 1, 1]."""
    endpoints, stride = {}, 1
    for stage, name in enumerate(("stem", "stage1", "stage2", "stage3", "stage4")):
        stride *= (strides[stage] if strides else 0) or 1
        for suffix, frames in (("", slow_frames), ("_fast", range(num_frames))):
            times = np.array(frames[::stride], np.float32)
            endpoints[f"{name}{suffix}"] = times.reshape(1, -1, 1, 1, 1)
    return endpoints


@pytest.mark.parametrize("num_frames, slow_frames, strides", JOINED)
@pytest.mark.parametrize("joined_times", ["slow", "fast"])
def test_pathways_are_joined_by_their_times(joined_times, num_frames, slow_frames, strides):
    """A run of alpha frames, or each frame, with the slow frame that is nearest to it in time."""
    module = build(joined_times=joined_times, temporal_strides=strides)
    endpoints = endpoints_of_times(num_frames, slow_frames, strides)
    maps = module.backbone.joined(endpoints)
    assert list(maps) == ["stem_joint", *(f"stage{stage}_joint" for stage in range(1, 5))]
    for name, joined in maps.items():
        name = name.removesuffix("_joint")
        seen = endpoints[name].ravel().tolist()
        frames = endpoints[f"{name}_fast"].ravel().tolist()
        length = 4 if joined_times == "slow" else 1
        expected = []
        for start in range(0, len(frames), length):
            run = frames[start : start + length]
            middle = sum(run) / len(run)
            expected.append([min(seen, key=lambda time: abs(time - middle)), middle])
        np.testing.assert_allclose(np.asarray(joined)[0, :, 0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("num_frames", [16, 32, 64])
@pytest.mark.parametrize("alpha", [1, 3, 4, 8])
def test_each_run_has_the_slow_frame_within_it(alpha, num_frames):
    num_frames = num_frames // alpha * alpha
    seen = slow_frames(num_frames, alpha)
    endpoints = endpoints_of_times(num_frames, seen, ())
    joined = build(alpha=alpha).backbone.joined(endpoints)["stage4_joint"]
    assert joined[0, :, 0, 0, 0].tolist() == seen
    assert [frame // alpha for frame in seen] == list(range(num_frames // alpha))


def test_answers_of_frames_come_from_their_runs():
    """Of ten frames, in runs at 0, 4 and 8 that the head interpolates between."""
    head = build(head="framewise").head
    joined = build().backbone.joined(endpoints_of_times(10, (0, 9), ()))
    params = {"kernel": np.array([[0.0], [1.0]], np.float32), "bias": np.zeros(1, np.float32)}
    head = head.clone(num_classes=1)
    logits = head.apply({"params": {"logits": params}}, joined, clip_shape=(10, 1, 1), train=False)
    expected = np.interp(np.arange(10), [0, 4, 8], [1.5, 5.5, 8.5])  # the means of runs
    np.testing.assert_allclose(logits[0, :, 0], expected, rtol=1e-6)


def test_variants_differ():
    rows = [sorted(row.items()) for row in VARIANTS.values()]
    assert all(row not in rows[:i] for i, row in enumerate(rows))
