"""The recurrent head against NumPy, and against PyTorch's equations with weights in its layout."""

import jax
import numpy as np
import pytest

from tests.heads import reference
from vidjax import heads
from vidjax.core.errors import UserError
from vidjax.layers.recurrent import Recurrent, from_torch

RNG = np.random.default_rng(0)
CELLS = {"gru": reference.gru, "lstm": reference.lstm}
MAP = RNG.standard_normal((2, 3, 2, 2, 12), np.float32)  # [N, T', H', W', C]
FRAMES = MAP.astype(float).mean(axis=(2, 3))
CLIP = (12, 8, 8)  # a stride of 4 in time


def apply(head, variables, *, train=False):
    return reference.compiled(head, CLIP, train=train)(variables, {"features": MAP})


def states_of(params, cell, layers, *, bidirectional=False):
    """What all layers give for the frames of the map: [N, T', width] or twice the width."""
    x = FRAMES
    for number in range(1, layers + 1):
        states = CELLS[cell](x, params[f"layer{number}"])
        if bidirectional:
            backward = CELLS[cell](x[:, ::-1], params[f"layer{number}_backward"])[:, ::-1]
            states = np.concatenate([states, backward], axis=-1)
        x = states
    return x


def expected_logits(output, states, params, width):
    if output == "growing":
        return reference.growing(states, params)
    if output == "mean":
        return reference.linear(states.mean(axis=1), params["logits"])
    if output == "last":  # the backward layers end at the first frame
        last = np.concatenate([states[:, -1, :width], states[:, 0, width:]], axis=-1)
        return reference.linear(last, params["logits"])
    return reference.interpolate(reference.linear(states, params["logits"]), 1, CLIP[0], 4)


@pytest.mark.parametrize("output", ["last", "mean", "growing", "every"])
@pytest.mark.parametrize("cell, bidirectional", [("gru", False), ("lstm", True)])
def test_a_stack_equals_numpy(cell, bidirectional, output):
    fields = {"cell": cell, "width": 8, "layers": 2, "bidirectional": bidirectional}
    head = heads.build("recurrent", num_classes=5, output=output, **fields)
    variables = reference.draw_variables(head, {"features": MAP}, CLIP)
    params = variables["params"]
    states = states_of(params["recurrent"], cell, 2, bidirectional=bidirectional)
    expected = expected_logits(output, states, params, width=8)
    logits = apply(head, variables)
    assert logits.shape == expected.shape
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_growing_averages_logarithms_in_training():
    head = heads.build("recurrent", num_classes=5, width=8, output="growing")
    variables = reference.draw_variables(head, {"features": MAP}, CLIP)
    params = variables["params"]
    states = states_of(params["recurrent"], "gru", 1)
    answers = np.log(reference.softmax(reference.linear(states, params["logits"])))
    expected = (answers[:, 0] + 2 * answers[:, 1] + 3 * answers[:, 2]) / 6
    np.testing.assert_allclose(apply(head, variables, train=True), expected, rtol=1e-5, atol=1e-5)


def torch_arrays(gates, inputs, width, suffix):
    """Random weights of a layer in the layout of `torch.nn.GRU` and `LSTM`."""
    scale = 1 / np.sqrt(width)
    shapes = {"weight_ih": (inputs,), "weight_hh": (width,), "bias_ih": (), "bias_hh": ()}
    return {
        f"{name}{suffix}": RNG.uniform(-scale, scale, (gates * width, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def torch_gru(x, arrays):
    """The equations of the page of `torch.nn.GRU`: rows r, z, n of each matrix."""
    w_ih, w_hh, b_ih, b_hh = [np.asarray(array, float) for array in arrays.values()]
    h, states = np.zeros((len(x), w_hh.shape[1])), []
    for t in range(x.shape[1]):
        of_input = np.split(x[:, t] @ w_ih.T + b_ih, 3, axis=1)
        of_state = np.split(h @ w_hh.T + b_hh, 3, axis=1)
        r = reference.sigmoid(of_input[0] + of_state[0])
        z = reference.sigmoid(of_input[1] + of_state[1])
        n = np.tanh(of_input[2] + r * of_state[2])
        h = (1 - z) * n + z * h
        states.append(h)
    return np.stack(states, axis=1)


def torch_lstm(x, arrays):
    """The equations of the page of `torch.nn.LSTM`: rows i, f, g, o of each matrix."""
    w_ih, w_hh, b_ih, b_hh = [np.asarray(array, float) for array in arrays.values()]
    h = c = np.zeros((len(x), w_hh.shape[1]))
    states = []
    for t in range(x.shape[1]):
        gates = np.split(x[:, t] @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, axis=1)
        i, f, o = [reference.sigmoid(gates[number]) for number in (0, 1, 3)]
        c = f * c + i * np.tanh(gates[2])
        h = o * np.tanh(c)
        states.append(h)
    return np.stack(states, axis=1)


@pytest.mark.parametrize("cell, gates, torch", [("gru", 3, torch_gru), ("lstm", 4, torch_lstm)])
def test_weights_of_pytorch_give_what_its_equations_give(cell, gates, torch):
    """Two layers in both directions: suffixes _l0, _l0_reverse, _l1 and _l1_reverse."""
    width, params, x = 8, {}, FRAMES
    for number in (1, 2):
        outputs = []
        for ours, theirs, step in (("", "", 1), ("_backward", "_reverse", -1)):
            suffix = f"_l{number - 1}{theirs}"
            arrays = torch_arrays(gates, x.shape[-1], width, suffix)
            params[f"layer{number}{ours}"] = from_torch(arrays, cell, suffix=suffix)
            outputs.append(torch(x[:, ::step], arrays)[:, ::step])
        x = np.concatenate(outputs, axis=-1)
    module = Recurrent(cell, width, num_layers=2, bidirectional=True)
    run = jax.jit(lambda x: module.apply({"params": params}, x, train=False))
    found = run(FRAMES.astype(np.float32))
    np.testing.assert_allclose(found, x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cell, expected", [("gru", 590_848), ("lstm", 787_456)])
def test_parameters_of_256_on_512(cell, expected):
    """Flax's cells."""
    module = Recurrent(cell, width=256)
    x = jax.ShapeDtypeStruct((1, 2, 512), np.float32)
    shapes = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), x)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == expected


def test_dropout_is_drawn_in_training_alone():
    head = heads.build("recurrent", num_classes=5, width=8, layers=2, dropout=0.5)
    variables = reference.draw_variables(head, {"features": MAP}, CLIP)
    training, evaluation = [reference.compiled(head, CLIP, train=train) for train in (True, False)]
    endpoints = {"features": MAP}
    first, again, other = [training(variables, endpoints, seed) for seed in (1, 1, 2)]
    assert (first == again).all() and (first != other).any()
    assert (evaluation(variables, endpoints, 1) == evaluation(variables, endpoints, 2)).all()


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"cell": "gruu"}, "head.cell is 'gruu'; it is one of gru, lstm"),
        ({"output": "first"}, "head.output is 'first'; it is one of last, mean, growing, every"),
        ({"layers": 0}, "head.layers is 0; it is 1 or more"),
    ],
)
def test_wrong_fields_are_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        heads.build("recurrent", num_classes=5, **fields)
