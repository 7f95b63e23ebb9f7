"""The heads in NumPy, in float64, from their papers; `params` are those of the head, by its names.

It shares no code with vidjax, so that the tests compare two programs.
"""

import itertools
import math

import jax
import numpy as np

from tests.variables import drawn


def draw_variables(head, endpoints, clip, *, seed=0):
    """Random variables of a head that keep activations near 1, as NumPy arrays."""
    shapes = jax.eval_shape(
        lambda: head.init(jax.random.key(0), endpoints, clip_shape=clip, train=False)
    )
    return drawn(shapes, seed=seed)


def compiled(head, clip, *, train=False):
    """run(variables, endpoints, dropout's seed) -> logits, as one program."""

    @jax.jit
    def run(variables, endpoints, seed=0):
        rngs = {"dropout": jax.random.key(seed)}
        return head.apply(variables, endpoints, clip_shape=clip, train=train, rngs=rngs)

    return run


def linear(x, params):
    return x @ np.asarray(params["kernel"], float) + np.asarray(params["bias"], float)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def gelu(x):
    """The approximation by tanh, Hendrycks and Gimpel, Gaussian Error Linear Units, 2016."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def layer_norm(x, params):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * params["scale"] + params["bias"]


def interpolate(x, axis, size, step):
    """Linear, where old position j lies at the new position j * step; held at both ends."""
    old = np.arange(x.shape[axis]) * step

    def along(values):
        return np.interp(np.arange(size), old, values)

    return np.apply_along_axis(along, axis, x)


def tuples_of(num_frames, scale, count=3):
    """Evenly spread ones of all tuples of rising frames, as in the authors' code of TRN."""
    every = list(itertools.combinations(range(num_frames), scale))
    count = min(count, len(every))
    return [every[math.ceil(number * len(every) / count)] for number in range(count)]


def relation(frames, params, tuples_by_scale):
    """Zhou et al., equations 3 and 4: [N, T, C] -> [N, K], a sum over all tuples of all scales."""
    x = linear(frames, params["project"])
    total = 0
    for scale, tuples in tuples_by_scale.items():
        for frames_of_tuple in tuples:
            joined = np.concatenate([x[:, frame] for frame in frames_of_tuple], axis=-1)
            y = np.maximum(linear(np.maximum(joined, 0), params[f"hidden{scale}"]), 0)
            total = total + linear(y, params[f"logits{scale}"])
    return total


def gru(x, params):
    """[N, T, C] -> [N, T, width] by Flax's layers ir, hr, iz, hz, in and hn."""

    def of_state(gate, h):
        layer = params[f"h{gate}"]
        return h @ np.asarray(layer["kernel"], float) + layer.get("bias", 0.0)

    h, states = 0 * linear(x[:, 0], params["ir"]), []
    for frame in range(x.shape[1]):
        r = sigmoid(linear(x[:, frame], params["ir"]) + of_state("r", h))
        z = sigmoid(linear(x[:, frame], params["iz"]) + of_state("z", h))
        n = np.tanh(linear(x[:, frame], params["in"]) + r * of_state("n", h))
        h = (1 - z) * n + z * h
        states.append(h)
    return np.stack(states, axis=1)


def lstm(x, params):
    """[N, T, C] -> [N, T, width] by Flax's layers ii, hi, if, hf, ig, hg, io and ho."""

    def gate(name, x, h):
        return x @ np.asarray(params[f"i{name}"]["kernel"], float) + linear(h, params[f"h{name}"])

    h = c = np.zeros((len(x), len(params["hi"]["bias"])))
    states = []
    for frame in range(x.shape[1]):
        i, f, g, o = [gate(name, x[:, frame], h) for name in "ifgo"]
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states, axis=1)


def growing(states, params):
    """The logarithm of the mean of all frames' probabilities with weights 1, 2, ... T."""
    answers = softmax(linear(states, params["logits"]))
    return np.log(np.average(answers, axis=1, weights=np.arange(1, states.shape[1] + 1)))


def attention(queries, places, params):
    """Vaswani et al., Attention Is All You Need, 2017: [N, Q, C] on [N, L, C'] -> [N, Q, width]."""

    def project(x, layer):
        kernel = np.asarray(layer["kernel"], float)  # [C, heads, size]
        return np.einsum("nlc,chd->nlhd", x, kernel) + layer["bias"]

    q = project(queries, params["query"])
    k = project(places, params["key"])
    v = project(places, params["value"])
    weights = softmax(np.einsum("nqhd,nlhd->nhql", q, k) / math.sqrt(q.shape[-1]))
    mixed = np.einsum("nhql,nlhd->nqhd", weights, v)
    kernel = np.asarray(params["out"]["kernel"], float)  # [heads, size, width]
    return np.einsum("nqhd,hdw->nqw", mixed, kernel) + params["out"]["bias"]
