"""Every lowering of the convolution against a direct sum in float64, forward and both gradients."""

import functools
import json
import math

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from tests.ops.cases import CASES, ONE, SOME, SWEPT, VOLUMES, arrays, reference
from vidjax.ops.conv import Spec, conv, input_gradient, matmul, winograd
from vidjax.ops.conv.rule import LOWERINGS


def with_gradients(x, kernel, dy, **settings):
    """(y, dx, dkernel) of the convolution under test."""
    y, vjp = jax.vjp(lambda x, kernel: conv(x, kernel, **settings), x, kernel)
    return y, *vjp(jnp.resize(dy, y.shape))


def assert_close(got, expected, tolerance, what=""):
    for name, a, b in zip(("y", "dx", "dkernel"), got, expected, strict=True):
        assert a.shape == b.shape, (what, name)
        error = np.linalg.norm(np.float64(a) - b) / np.linalg.norm(b)
        assert error <= tolerance, f"{what} {name}: {error:.1e}"


def results_of_lowerings(x, kernel, dy, **settings):
    """{lowering: (y, dx, dkernel)}, in one program: what lowerings share is compiled once."""

    def run_all(x, kernel, dy):
        results = {}
        for name in LOWERINGS:
            results[name] = with_gradients(x, kernel, dy, lowering=name, **settings)
        return results

    return jax.jit(run_all)(x, kernel, dy)


def swept(cases, names):
    """The cases as parameters, of which those of the names are a sweep."""
    rows = []
    for case in cases:
        rows.append(pytest.param(case, marks=[pytest.mark.sweep] if case in names else []))
    return rows


@pytest.mark.parametrize("case", swept(CASES, SWEPT))
def test_every_lowering_is_the_direct_sum(case):
    x, kernel, dy, settings = arrays(case)
    expected = reference(x, kernel, dy, **settings)
    for name, result in results_of_lowerings(x, kernel, dy, **settings).items():
        assert_close(result, expected, 1e-5, name)


@pytest.mark.parametrize(
    "case", swept([name for name, case in CASES.items() if case[5] == 1], SWEPT)
)
def test_the_input_gradient_by_col2im_is_the_direct_sum(case):
    """At any number of positions, though the rule uses it only where they are few."""
    x, kernel, dy, settings = arrays(case)
    y, dx, _ = reference(x, kernel, dy, **settings)
    padding = tuple((p, p) if isinstance(p, int) else p for p in settings["padding"])
    spec = Spec(**(settings | {"padding": padding}))
    got = jax.jit(lambda dy, kernel: input_gradient.by_col2im(dy, kernel, spec, size=x.shape[1:4]))(
        np.resize(dy, y.shape), kernel
    )
    assert np.linalg.norm(got - dx) <= 1e-5 * np.linalg.norm(dx)
    few = matmul.has_few_positions(math.prod(y.shape[:4]), kernel.shape[3])
    assert few == (math.prod(y.shape[:4]) <= kernel.shape[3])
    assert "few positions" not in case or few


LARGE = (
    "space strided",
    "time strided",
    "volume strided",
    "volume depthwise",
    "volume, stem",
    "volume, no zeros",
    "volume, one row",
    "volume, more zeros than taps",
    "volume dilated, strided",
    "time, rows skipped",
    "space, many channels",
)


@pytest.mark.parametrize("case", LARGE)
def test_large_clips_go_frame_by_frame(case, monkeypatch):
    """The loops that otherwise only clips larger than the im2col limit run."""
    monkeypatch.setattr(matmul, "IM2COL_MAX_ELEMENTS", 0)
    x, kernel, dy, settings = arrays(case)

    def each(x, kernel, dy):
        return {
            name: with_gradients(x, kernel, dy, lowering=name, **settings)
            for name in ("auto", "product")
        }

    forward = str(
        jax.make_jaxpr(functools.partial(conv, lowering="product", **settings))(x, kernel)
    )
    assert ("scan[" in forward) == (settings["groups"] == 1)
    program = str(jax.make_jaxpr(each)(x, kernel, dy))
    assert "scan[" in program or "while[" in program
    for name, got in jax.jit(each)(x, kernel, dy).items():
        assert_close(got, reference(x, kernel, dy, **settings), 1e-5, name)


@pytest.mark.parametrize("together", [0, 1600])
@pytest.mark.parametrize("case", ["space", "time", "volume", "volume, no zeros"])
def test_frames_are_transformed_in_groups(case, together, monkeypatch):
    """One frame at a time, and several at a time."""
    monkeypatch.setattr(winograd, "MAX_PLANE_ELEMENTS", together)
    x, kernel, dy, settings = arrays(case)
    one = functools.partial(with_gradients, lowering="winograd", **settings)
    assert "scan[" in str(jax.make_jaxpr(one)(x, kernel, dy))
    assert_close(
        jax.jit(one)(x, kernel, dy),
        reference(x, kernel, dy, **settings),
        1e-5,
    )


def test_minimal_filtering_is_as_near_as_a_direct_sum():
    """On positive activations, as after a ReLU, over many channels: a few roundings of float32."""
    rng = np.random.default_rng(0)
    x, kernel = (
        np.float32(rng.random((1, 4, 8, 8, 256))),
        np.float32(rng.standard_normal((3, 3, 3, 256, 16))),
    )
    dy, settings = (
        np.float32(rng.standard_normal(2048)),
        {"stride": ONE, "padding": (1, 1, 1), "groups": 1},
    )
    run = jax.jit(functools.partial(with_gradients, lowering="winograd", **settings))
    assert_close(run(x, kernel, dy), reference(x, kernel, dy, **settings), 2e-6)


@pytest.mark.parametrize(
    ("case", "lowering"),
    [
        ("volume", "auto"),
        ("volume", "winograd"),
        ("volume depthwise", "auto"),
        ("space strided", "auto"),
    ],
)
def test_export_for_other_platforms(case, lowering):
    """Lowered here for all of them at once, with any number of clips, and run here."""
    x, kernel, dy, settings = arrays(case)
    (n,) = jax.export.symbolic_shape("n")
    shapes = (
        jax.ShapeDtypeStruct((n, *x.shape[1:]), x.dtype),
        jax.ShapeDtypeStruct(kernel.shape, x.dtype),
    )
    program = jax.jit(functools.partial(conv, lowering=lowering, **settings))
    exported = jax.export.export(program, platforms=("cpu", "cuda", "tpu"))(*shapes)
    y = jax.export.deserialize(exported.serialize()).call(x, kernel)
    np.testing.assert_allclose(y, reference(x, kernel, dy, **settings)[0], atol=1e-4)


# of SOME and "space", minimal filtering applies to the last alone
@pytest.mark.parametrize("case", swept([*SOME, "space", *VOLUMES], VOLUMES))
def test_half_precision(case):
    x, kernel, dy, settings = arrays(case, dtype=jnp.bfloat16)
    expected = reference(x, kernel, dy, **settings)
    for name, result in results_of_lowerings(x, kernel, dy, **settings).items():
        assert all(a.dtype == jnp.bfloat16 for a in result)
        assert_close(result, expected, 2e-2, name)


def lowerings_and_cases():
    """Minimal filtering applies to a stride of 1 alone."""
    rows = []
    for lowering in LOWERINGS:
        cases, volumes = ("space strided", "time strided", "time depthwise"), VOLUMES
        if lowering == "winograd":
            cases, volumes = ("space",), ("time", "volume")
        rows.append(pytest.param(lowering, cases, id=lowering))
        rows.append(
            pytest.param(lowering, volumes, id=f"{lowering}, volumes", marks=pytest.mark.sweep)
        )
    return rows


@pytest.mark.parametrize("lowering, cases", lowerings_and_cases())
def test_under_vmap_and_remat(lowering, cases):
    """vmap over clips, vmap over clips and kernels, and a backward pass that recomputes y."""
    programs, inputs, expected = {}, {}, {}
    for case in cases:
        x, kernel, dy, settings = arrays(case, n=6)
        one = functools.partial(with_gradients, lowering=lowering, **settings)
        x, kernels = x.reshape(3, 2, *x.shape[1:]), np.stack([kernel, -kernel, 2 * kernel])
        inputs[case] = x, kernels, dy
        rematted = jax.checkpoint(functools.partial(conv, lowering=lowering, **settings))

        def again(x, kernel, dy, rematted=rematted):
            y, vjp = jax.vjp(rematted, x, kernel)
            return y, *vjp(jnp.resize(dy, y.shape))

        programs[case] = jax.vmap(one, (0, None, None)), jax.vmap(one, (0, 0, None)), again
        rows = [
            [reference(x[i], k, dy, **settings) for i, k in enumerate(ks)]
            for ks in ([kernel] * 3, kernels)
        ]
        expected[case] = (
            *([np.stack(a) for a in zip(*row, strict=True)] for row in rows),
            rows[0][0],
        )

    def all_of_them(inputs):
        out = {}
        for case, (x, kernels, dy) in inputs.items():
            clips, both, again = programs[case]
            out[case] = clips(x, kernels[0], dy), both(x, kernels, dy), again(x[0], kernels[0], dy)
        return out

    results = jax.jit(all_of_them)(inputs)
    for case, got in results.items():
        for way, a, b in zip(
            ("clips", "clips and kernels", "remat"), got, expected[case], strict=True
        ):
            assert_close(a, b, 1e-5, f"{case} under {way}")


def some_on_four_devices():
    """Minimal filtering has a case of its own: it applies to none of SOME."""
    print_errors_on_four_devices((*SOME, "space"), minimal=("space",))


def volumes_on_four_devices():
    print_errors_on_four_devices(VOLUMES, minimal=("time", "volume"))


def print_errors_on_four_devices(cases, *, minimal):
    """Runs where there are 4 devices: prints the relative errors of a batch sharded over them.

    The cases in `minimal` are lowered by minimal filtering as well.
    """
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    split, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    inputs, settings, errors = {}, {}, {}
    for case in cases:
        x, kernel, dy, settings[case] = arrays(case, n=8)
        inputs[case] = jax.device_put(x, split), *jax.device_put((kernel, dy), whole)

    def each(inputs):
        return {
            f"{case}, {name}": with_gradients(*args, lowering=name, **settings[case])
            for case, args in inputs.items()
            for name in LOWERINGS
            if name != "winograd" or case in minimal
        }

    for key, got in jax.jit(each)(inputs).items():
        case = key.rpartition(", ")[0]
        assert not got[0].sharding.is_fully_replicated, key
        expected = reference(*map(np.asarray, inputs[case]), **settings[case])
        pairs = zip(got, expected, strict=True)
        errors[key] = max(
            float(np.linalg.norm(np.float64(a) - b) / np.linalg.norm(b)) for a, b in pairs
        )
    print(json.dumps(errors))


@pytest.mark.parametrize(
    "function, count",
    [
        ("some_on_four_devices", (len(SOME) + 1) * (len(LOWERINGS) - 1) + 1),
        pytest.param(
            "volumes_on_four_devices",
            len(VOLUMES) * (len(LOWERINGS) - 1) + 2,
            marks=pytest.mark.sweep,
        ),
    ],
)
def test_a_batch_cut_over_four_devices(on_devices, function, count):
    errors = on_devices(__file__, function, 4)
    assert len(errors) == count
    assert max(errors.values()) <= 1e-5, errors
