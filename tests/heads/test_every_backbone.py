"""Every head on every family: shapes, refusals, and in a sweep values and gradients on two devices.

The sweep computes a backbone once for all heads: its endpoints, each head on them, and the
gradients of the backbone from those of its endpoints, all compiled and cut over the devices. That
is the chain rule of the whole network, without compiling the backbone again for each head.
"""

import functools
import json
import os
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.variables import drawn
from vidjax import heads, models
from vidjax.core.errors import UserError
from vidjax.run import devices

PAGE = Path(__file__).parents[2] / "docs" / "heads.md"
AGAIN = "The table of docs/heads.md is not that of the refusals. It is:\n"
NUM_CLASSES = 5
LARGE = (32, 64, 64)  # T, H and W for shapes: several positions are left at every map
SMALL = (8, 16, 16)  # for values
# The least that leaves several time steps at the map, or that a family takes.
SIZES = {"googlenet": (4, 32, 32), "i3d": (8, 32, 32), "s3d": (8, 32, 32), "convcolumn": ()}
# Fewer blocks than any variant has, but each kind of them; and what is quick on large clips.
CHEAP = {
    "convcolumn": {"lowering": "folded"},
    "densenet3d": {"depths": (1, 1, 1, 1)},
    "mobilenet_v2": {"alpha": 0.35},
    "x3d": {"depth_factor": 0.4},
}


def build(family, head, **fields):
    """The first variant of a family with a head, with few channels."""
    variant = next(iter(models.family(family).VARIANTS))
    fields = {"width": 0.1, **fields}
    return models.build(family, variant=variant, num_classes=NUM_CLASSES, head=head, **fields)


def shapes_of_input(module, sizes):
    """What the network takes, as shapes: a batch of two clips, and the flow beside them."""
    least = getattr(models.family(models.family_name(module.backbone)), "MIN_CLIP", sizes)
    sizes = tuple(map(max, sizes or least, least))
    channels = getattr(module.backbone, "in_channels", 3)
    video = jax.ShapeDtypeStruct((2, *sizes, channels), jnp.float32)
    return models.input_shapes(module, video)


def read_by_heads(backbone, endpoints):
    """The endpoints, and those of joined pathways."""
    if hasattr(backbone, "joined"):
        return {**endpoints, **backbone.joined(endpoints)}
    return endpoints


@functools.cache
def abstract_endpoints(family):
    """(T, H and W of a clip, what heads read of the family's endpoints) as shapes."""
    module = build(family, "average")
    video = shapes_of_input(module, LARGE)

    def run(video):
        endpoints, _ = module.backbone.init_with_output(jax.random.key(0), video, train=False)
        return read_by_heads(module.backbone, endpoints)

    return models.clip_shape(video), jax.eval_shape(run, video)


def accepted():
    """All (family, head) of which the first variant of the family takes the head."""
    pairs = []
    for family in models.names():
        for head in heads.names():
            try:
                build(family, head)
            except UserError:
                continue
            pairs.append((family, head))
    return pairs


@pytest.mark.parametrize("family, head", accepted())
def test_logits_have_the_shape_of_the_answers(family, head):
    module = build(family, head)
    clip, endpoints = abstract_endpoints(family)

    def run(endpoints):
        key = jax.random.key(0)
        return module.head.init_with_output(key, endpoints, clip_shape=clip, train=False)[0]

    logits = jax.eval_shape(run, endpoints)
    places = {"clip": (), "frames": clip[:1], "places": clip}
    assert logits.shape == (2, *places[module.head.answers], NUM_CLASSES)
    assert logits.dtype == jnp.float32


def test_conv_average_has_the_parameters_of_average_where_the_page_says():
    """All but the networks that the page names: these have layers behind their map."""
    others = set()
    for family, head in accepted():
        if head != "conv_average":
            continue
        clip, endpoints = abstract_endpoints(family)
        parameters = []
        for name in ("average", "conv_average"):
            init = functools.partial(build(family, name).head.init, clip_shape=clip, train=False)
            variables = jax.eval_shape(init, jax.random.key(0), endpoints)
            parameters.append(jax.tree.map(lambda array: array.shape, variables["params"]))
        if parameters[0] != parameters[1]:
            others.add(family)
    text = " ".join(PAGE.read_text().split())
    named = re.search(r"evaluated with the other\. (.*?) have layers behind their map", text)[1]
    assert others <= set(re.findall(r"\w+", named)) - {"and"}, others
    assert {"x3d", "convcolumn"} <= others


@functools.cache
def refusals():
    """(family and variants, head, sentence) of all that `build` refuses, sorted.

    Variants are named where others of the family are not refused in the same words.
    """
    rows = []
    for family in models.names():
        variants = list(models.family(family).VARIANTS)
        refused = {}
        for variant in variants:
            for head in heads.names():
                try:
                    models.build(family, variant=variant, num_classes=NUM_CLASSES, head=head)
                except UserError as error:
                    refused.setdefault((head, str(error)), []).append(variant)
        for (head, sentence), of_variants in refused.items():
            name = family
            if of_variants != variants:
                name = f"{family}: {', '.join(of_variants)}"
            rows.append((name, head, sentence))
    return sorted(rows)


def listed_refusals():
    """The rows of the table of docs/heads.md, in its order."""
    _, _, section = PAGE.read_text().partition("\n## Refusals\n")
    section, _, _ = section.partition("\n## ")
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    heading, rule, *rows = rows
    assert heading == ("family", "head", "why")
    assert all(set(cell) == {"-"} for cell in rule)
    return rows


def test_the_page_lists_every_refusal():
    expected = refusals()
    lines = ["| family | head | why |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in expected]
    assert listed_refusals() == expected, AGAIN + "\n".join(lines)


def test_a_refusal_is_one_sentence():
    for _, head, sentence in refusals():
        assert sentence.startswith(f"The head {head} needs ") and sentence.endswith(".")
        assert ". " not in sentence and sentence.count(": ") == 1 and "\n" not in sentence


def some_variables(init):
    """Random variables as `init` would give; drawn by NumPy, as jax's would have to be compiled."""
    return drawn(jax.eval_shape(init))


def loss_of(logits):
    """A loss with another label at each place: cross-entropy, averaged."""
    labels = jnp.arange(logits.size // NUM_CLASSES).reshape(logits.shape[:-1]) % NUM_CLASSES
    one_hot = jax.nn.one_hot(labels, NUM_CLASSES)
    return -(one_hot * jax.nn.log_softmax(logits)).sum(axis=-1).mean()


def summary(tree):
    """Whether all numbers are finite, and whether any is not zero."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    finite = all(np.isfinite(leaf).all() for leaf in leaves)
    return {"finite": bool(finite), "moves": any(bool(leaf.any()) for leaf in leaves)}


def values_on_devices():
    """All heads on a family in a process with simulated devices; prints what they give."""
    family = os.environ["FAMILY"]
    mesh = devices.make_mesh()
    cut, whole = devices.sharded(mesh), devices.replicated(mesh)
    # native compiles soonest
    fields = {"lowering": "native", **CHEAP.get(family, {})}
    module = build(family, "average", **fields)
    shapes = shapes_of_input(module, SIZES.get(family, SMALL))
    rng = np.random.default_rng(1)
    video = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes)
    clip = models.clip_shape(video)
    video = jax.device_put(video, cut)
    rngs = {"dropout": jax.random.key(0)}
    backbone = module.backbone
    variables = some_variables(lambda: backbone.init(jax.random.key(0), video, train=False))
    variables = jax.device_put(dict(variables), whole)
    params = variables.pop("params", {})

    @jax.jit
    def endpoints_of(params):
        def run(params):
            endpoints, _ = backbone.apply(
                {"params": params, **variables}, video, train=True, rngs=rngs, mutable="batch_stats"
            )
            return read_by_heads(backbone, endpoints)

        return jax.vjp(run, params)

    endpoints, pull_back = endpoints_of(params)
    pull_back = jax.jit(pull_back)
    results = {}
    for name in heads.names():
        try:
            head = build(family, name, **fields).head
        except UserError:
            continue
        results[name] = values_of_head(head, endpoints, clip, (cut, whole))
        results[name]["backbone"] = summary(pull_back(results[name].pop("gradient")))
        results[name]["count"] = len(jax.tree.leaves(params))
    print(json.dumps(results))


def values_of_head(head, endpoints, clip, shardings):
    """The logits of a head on endpoints, and its gradients: those of the endpoints as they are."""
    cut, whole = shardings
    rngs = {"dropout": jax.random.key(0)}
    init = functools.partial(head.init, jax.random.key(0), clip_shape=clip, train=False)
    variables = dict(some_variables(lambda: init(endpoints)))
    params = variables.pop("params")

    @jax.jit
    def run(params, endpoints):
        def loss(params, endpoints):
            logits, _ = head.apply(
                {"params": params, **variables},
                endpoints,
                clip_shape=clip,
                train=True,
                rngs=rngs,
                mutable="batch_stats",
            )
            return loss_of(logits), jax.lax.with_sharding_constraint(logits, cut)

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(params, endpoints)

    (of_params, of_endpoints), logits = run(jax.device_put(params, whole), endpoints)
    shard = logits.addressable_shards[0].data
    return {
        "logits": summary(logits),
        "shape": logits.shape,
        "clips_on_a_device": shard.shape[0],
        "head": summary(of_params),
        # Cut alike for all heads, so that the backbone's gradients are compiled once.
        "gradient": jax.device_put(of_endpoints, cut),
    }


@pytest.mark.sweep
@pytest.mark.parametrize("family", models.names())
def test_values_and_gradients_on_two_devices(family, on_devices, monkeypatch):
    monkeypatch.setenv("FAMILY", family)
    results = on_devices(__file__, "values_on_devices", 2, timeout=600)
    assert set(results) == {head for of, head in accepted() if of == family}
    for name, result in results.items():
        assert result["clips_on_a_device"] == 1, name
        for part in ("logits", "head", "backbone"):
            if part == "backbone" and not result["count"]:
                continue  # a family without parameters
            assert result[part] == {"finite": True, "moves": True}, (name, part, result)
