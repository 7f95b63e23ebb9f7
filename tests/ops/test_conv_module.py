"""The module `Conv`: parameters, their initial values, types; names that do not exist."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.conv import Conv, conv


def test_an_unknown_lowering_is_refused():
    x, kernel = jnp.zeros((1, 2, 3, 3, 4)), jnp.zeros((1, 3, 3, 4, 4))
    with pytest.raises(
        ValueError, match="no lowering 'fold'; there are auto, onednn, native, folded, shifted"
    ):
        conv(x, kernel, lowering="fold")


def test_module_holds_a_kernel_and_a_bias():
    """The example of a course: 24 filters of 2x2x2 with bias on 7 RGB frames of 100x100."""
    module = Conv(24, (2, 2, 2), use_bias=True)
    y, variables = jax.eval_shape(
        module.init_with_output, jax.random.key(0), jnp.zeros((1, 7, 100, 100, 3))
    )
    assert y.shape == (1, 6, 99, 99, 24)
    shapes = jax.tree.map(lambda a: a.shape, variables["params"])
    assert shapes == {"kernel": (2, 2, 2, 3, 24), "bias": (24,)}
    assert sum(a.size for a in variables["params"].values()) == 600


def test_module_is_the_convolution_plus_its_bias():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 5, 5, 8), np.float32)
    kernel, bias = rng.standard_normal((1, 2, 2, 4, 6), np.float32), np.arange(6, dtype=np.float32)
    settings = {"stride": (2, 1, 1), "padding": (0, 1, 0), "groups": 2}
    module = Conv(6, (1, 2, 2), use_bias=True, **settings)
    variables = {"params": {"kernel": kernel, "bias": bias}}
    y = jax.jit(module.apply)(variables, x)
    assert y.dtype == jnp.float32
    expected = np.zeros(y.shape)
    padded = np.pad(np.float64(x), [(0, 0), (0, 0), (1, 1), (0, 0), (0, 0)])
    for row, column in itertools.product(range(2), range(2)):
        window = padded[:, ::2, row : row + y.shape[2], column : column + y.shape[3]]
        expected[..., :3] += window[..., :4] @ np.float64(kernel[0, row, column, :, :3])
        expected[..., 3:] += window[..., 4:] @ np.float64(kernel[0, row, column, :, 3:])
    np.testing.assert_allclose(y, expected + bias, atol=1e-5)


def test_module_computes_in_its_dtype_and_keeps_parameters_in_float32():
    module = Conv(6, (1, 2, 2), use_bias=True, dtype="bfloat16")
    x = jnp.zeros((2, 4, 5, 5, 8))
    y, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16
    assert variables["params"]["kernel"].dtype == variables["params"]["bias"].dtype == jnp.float32


def test_kernels_start_as_he_with_the_fan_at_the_output():
    init = jax.jit(Conv(96, (3, 3, 3)).init)
    kernel = np.asarray(init(jax.random.key(0), jnp.zeros((1, 3, 3, 3, 32)))["params"]["kernel"])
    np.testing.assert_allclose(np.std(kernel), np.sqrt(2 / (27 * 96)), rtol=0.02)
    assert abs(np.mean(kernel)) < 1e-3
    assert np.abs(kernel).max() > 3.5 * np.std(kernel)  # normal, not truncated
