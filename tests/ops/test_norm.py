"""Batch normalisation against its formula in float64, on one device and on four."""

import json

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.ops.norm import BatchNorm

SHAPE = (4, 2, 3, 5, 6)  # [N, T, H, W, C]


def some_arrays(dtype="float32"):
    """x, dy [N, T, H, W, C], and variables away from where they start."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(SHAPE) * rng.uniform(0.5, 3, 6) + rng.uniform(-5, 5, 6)
    params = {"scale": rng.uniform(0.5, 2, 6), "bias": rng.standard_normal(6)}
    statistics = {"mean": rng.standard_normal(6), "var": rng.uniform(0.5, 2, 6)}
    variables = jax.tree.map(np.float32, {"params": params, "batch_stats": statistics})
    return jnp.asarray(x, dtype), jnp.asarray(rng.standard_normal(SHAPE), dtype), variables


def reference(x, dy, variables, epsilon=1e-5):
    """(y, dx, dscale, dbias, mean, var) in training, float64; averages leave the channels."""
    x, dy = (np.float64(a).reshape(-1, x.shape[-1]) for a in (x, dy))
    scale, bias = (np.float64(variables["params"][name]) for name in ("scale", "bias"))
    mean, var = x.mean(0), x.var(0)
    normal = (x - mean) / np.sqrt(var + epsilon)
    dscale, dbias = (dy * normal).sum(0), dy.sum(0)
    dx = scale / np.sqrt(var + epsilon) * (dy - dbias / len(x) - normal * dscale / len(x))
    return (normal * scale + bias).reshape(SHAPE), dx.reshape(SHAPE), dscale, dbias, mean, var


def in_training(x, dy, variables, **fields):
    """(y, dx, dscale, dbias, running mean, running var) of the module."""

    def apply(x, params):
        variables_now = {**variables, "params": params}
        return BatchNorm(**fields).apply(variables_now, x, train=True, mutable=["batch_stats"])

    y, vjp, mutated = jax.vjp(apply, x, variables["params"], has_aux=True)
    dx, dparams = vjp(dy)
    running = mutated["batch_stats"]
    return y, dx, dparams["scale"], dparams["bias"], running["mean"], running["var"]


def expected_in_training(x, dy, variables):
    """What `in_training` should give: the running statistics have moved by a tenth."""
    *values, mean, var = reference(x, dy, variables)
    old = variables["batch_stats"]
    return *values, 0.9 * old["mean"] + 0.1 * mean, 0.9 * old["var"] + 0.1 * var


def test_training_gradients_and_running_statistics():
    arrays = some_arrays()
    got = jax.jit(in_training)(*arrays)
    for a, b in zip(got, expected_in_training(*arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_inference_uses_the_running_statistics():
    x, _, variables = some_arrays()
    y = BatchNorm(epsilon=1e-3).apply(variables, x, train=False)
    params, statistics = variables["params"], variables["batch_stats"]
    normal = (np.float64(x) - statistics["mean"]) / np.sqrt(np.float64(statistics["var"]) + 1e-3)
    np.testing.assert_allclose(y, normal * params["scale"] + params["bias"], rtol=1e-5, atol=1e-5)


def test_half_precision_keeps_statistics_in_full():
    """bf16 in and out; the mean of 120 values is that of the values, not of their rounded sums."""
    x, dy, variables = some_arrays("bfloat16")
    program = jax.jit(lambda *arrays: in_training(*arrays, dtype="bfloat16"))
    y, dx, *rest = program(x, dy, variables)
    expected = expected_in_training(x, dy, variables)
    assert y.dtype == dx.dtype == jnp.bfloat16
    for a, b in zip((y, dx), expected, strict=False):
        assert np.linalg.norm(np.float64(a) - b) <= 1e-2 * np.linalg.norm(b)
    for a, b in zip(rest[2:], expected[4:], strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_names_are_those_of_the_field_without_a_level_of_flax():
    variables = jax.eval_shape(
        lambda: BatchNorm().init(jax.random.key(0), jnp.zeros(SHAPE), train=False)
    )
    shapes = jax.tree.map(lambda a: a.shape, variables)
    assert shapes == {
        "params": {"scale": (6,), "bias": (6,)},
        "batch_stats": {"mean": (6,), "var": (6,)},
    }


def on_four_devices():
    """Runs where there are 4 devices: prints the deviations for a batch sharded over them."""
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    split, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    x, dy, variables = some_arrays()
    program = jax.jit(in_training)
    got = program(*jax.device_put((x, dy), split), jax.device_put(variables, whole))
    expected = expected_in_training(x, dy, variables)
    print(json.dumps([float(np.abs(a - b).max()) for a, b in zip(got, expected, strict=True)]))


def test_statistics_are_those_of_the_whole_batch_on_four_devices(on_devices):
    deviations = on_devices(__file__, "on_four_devices", 4)
    assert len(deviations) == 6 and max(deviations) < 1e-4, deviations


def test_groups_of_the_batch_have_statistics_of_their_own():
    """As if each half of the batch were normalised alone; running statistics move by the mean."""
    x, dy, variables = some_arrays()
    got = jax.jit(lambda *arrays: in_training(*arrays, groups=2))(x, dy, variables)
    halves = [expected_half(x[part], dy[part], variables) for part in (slice(0, 2), slice(2, 4))]
    (y, dx, dscale, dbias, mean, var), other = halves
    expected = (
        np.concatenate([y, other[0]]),
        np.concatenate([dx, other[1]]),
        dscale + other[2],
        dbias + other[3],
        (mean + other[4]) / 2,
        (var + other[5]) / 2,
    )
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def expected_half(x, dy, variables):
    """`expected_in_training` by automatic differentiation of the formula, for half of the clips."""

    def formula(x, params):
        axes = (0, 1, 2, 3)
        mean, var = x.mean(axes), x.var(axes)
        y = (x - mean) / jnp.sqrt(var + 1e-5) * params["scale"] + params["bias"]
        return y, (mean, var)

    y, vjp, (mean, var) = jax.vjp(formula, x, variables["params"], has_aux=True)
    dx, dparams = vjp(dy)
    old = variables["batch_stats"]
    moved = (0.9 * old["mean"] + 0.1 * mean, 0.9 * old["var"] + 0.1 * var)
    return y, dx, dparams["scale"], dparams["bias"], *moved


def test_groups_of_one_is_the_whole_batch():
    x, dy, variables = some_arrays()
    for one, other in zip(
        in_training(x, dy, variables, groups=1), in_training(x, dy, variables), strict=True
    ):
        np.testing.assert_array_equal(one, other)
