"""The parts of the bench: turns, convolutions found in a network, counts, tables, the picture."""

import io

import jax
import numpy as np
import pytest
from PIL import Image

from benchmarks import (
    compiling,
    convolutions,
    measure,
    roofline,
    tables,
    targets,
    timing,
    torch_side,
)
from benchmarks.targets import Target
from benchmarks.timing import Contestant
from vidjax.ops.conv import Spec
from vidjax.ops.conv.rule import FORMS
from vidjax.run import devices


def scripted(name, log, seconds):
    """A contestant that takes `seconds` a call by its own account and notes when it is called."""

    def turn(calls):
        log.append((name, calls))
        return calls * seconds

    return Contestant(name, turn)


def test_contestants_take_turns_in_an_order_that_rotates():
    log = []
    a, b, c = contestants = [
        scripted("a", log, 0.1),
        scripted("b", log, 0.01),
        scripted("c", log, 9),
    ]
    timing.in_turn(contestants, rounds=3, at_least=0.5)
    assert log[:6] == [
        ("a", 1),
        ("a", 1),
        ("b", 1),
        ("b", 1),
        ("c", 1),
        ("c", 1),
    ]  # each to warm up, and to be sized
    turns = log[6:]
    assert turns[::2] == [(name, 1) for name in "abcbcacab"]  # not timed
    assert [name for name, _ in turns[1::2]] == list("abcbcacab")
    assert dict(turns[1::2]) == {"a": 5, "b": 50, "c": 1}  # as many calls as fill a turn
    assert [len(one.samples) for one in contestants] == [3] * 3 and a.seconds == pytest.approx(0.1)


def test_medians_spread_and_the_ratio_within_rounds():
    def one(name, *samples):
        return Contestant(name, turn=float, samples=list(samples))

    ours, slow, best = one("a", 1, 2, 9), one("b", 4, 4, 4), one("c", 1, 1, 3)
    assert ours.seconds == 2 and ours.spread == 2
    assert (
        timing.over_best(ours, [slow, best]) == 2
    )  # of 1, 2 and 3, against the one with the better median
    assert timing.over_best(ours, []) is None and timing.over_best(best, [slow, best]) == 1


# what is not a convolution in a network: its linear layers, batch x inputs x outputs
@pytest.mark.parametrize(
    "variant, clip, linear",
    [
        ("r2plus1d_18", (2, 4, 30, 31, 3), 2 * 512 * 400),
        ("slowfast_r50_8x8", (1, 8, 32, 32, 3), 2304 * 400),
        ("tsm_mobilenet_v2_8f", (1, 4, 32, 32, 3), 1280 * 400),
    ],
)
def test_the_convolutions_of_a_network_add_up(variant, clip, linear):
    target = Target(*targets.find_variant(variant), clip=clip)
    found = convolutions.collect(target)
    assert len(found) == len({one for one, _ in found}) > 5
    assert sum(count * one.multiply_adds for one, count in found) + linear == target.multiply_adds


def test_a_convolution_by_hand():
    spec = Spec((1, 2, 2), ((1, 1), (0, 1), (1, 1)), (1, 1, 1), 8)
    one = convolutions.Convolution((2, 4, 9, 9, 8), (3, 3, 3, 1, 8), spec)
    assert one.out == (2, 4, 4, 5, 8)
    assert one.multiply_adds == 2 * 4 * 4 * 5 * 8 * 27
    assert one.num_bytes(2) == 2 * (2 * 4 * 81 * 8 + 27 * 8 + 2 * 4 * 20 * 8)
    assert one.name == "4x9x9x8, 3x3x3 to 8, stride 1x2x2, depthwise"
    assert convolutions.for_torch(one) is None  # one side of the rows is padded more than the other
    even = convolutions.Convolution(
        one.x, one.kernel, spec._replace(padding=((1, 1), (0, 0), (1, 1)))
    )
    assert convolutions.for_torch(even)["padding"] == [1, 0, 1]


@pytest.mark.parametrize("step", ["forward", "train"])
def test_every_lowering_runs(step):
    spec = Spec((1, 2, 1), ((0, 0), (1, 1), (1, 1)), (1, 1, 1), 1)
    one = convolutions.Convolution((1, 2, 5, 5, 3), (1, 3, 3, 3, 4), spec)
    contestants = [
        convolutions.contestant(one, form, precision="bfloat16", step=step)
        for form in ("auto", *FORMS)
    ]
    timing.in_turn(contestants, rounds=1, at_least=0)
    assert all(len(c.samples) == 1 and c.seconds > 0 for c in contestants)
    assert convolutions.picked(one, "bfloat16") == ("native" if devices.has_onednn() else "product")
    same = (
        convolutions.picked(one, "bfloat16") if step == "forward" else ""
    )  # each gradient picks for itself
    assert convolutions.same_as_picked(one, step, "bfloat16") == same


def test_a_convolution_of_which_one_tap_meets_more_than_padding():
    """It is lowered as the pointwise one that it is, which no form that is forced does."""
    one = convolutions.Convolution(
        (2, 1, 7, 7, 8), (3, 1, 1, 8, 4), Spec(padding=((1, 1), (0, 0), (0, 0)))
    )
    assert convolutions.picked(one, "float32") == "shifted"
    assert convolutions.same_as_picked(one, "forward", "float32") == ""


def test_published_counts():
    target = Target("resnet3d", "r3d_18", clip=(2, 16, 112, 112, 3))
    assert target.num_parameters == 33371472 and target.multiply_adds == pytest.approx(
        2 * 40.6966e9, rel=1e-4
    )


def test_the_cache_is_empty_then_filled_then_as_before():
    before = jax.config.jax_compilation_cache_dir
    with compiling.empty_cache():
        assert jax.config.jax_compilation_cache_dir != before
        timed = compiling.compile_twice(
            lambda: jax.jit(lambda x: (x @ x).sum()).lower(np.ones((8, 8), np.float32))
        )
    assert jax.config.jax_compilation_cache_dir == before
    assert timed.program(np.ones((8, 8), np.float32)) == 512
    assert timed.cold > 0 and timed.warm > 0 and timed.planned_bytes >= 8 * 8 * 4


def convolution_row(step, seconds):
    one = convolutions.Convolution((2, 4, 8, 8, 16), (3, 3, 3, 16, 32), Spec(padding=((1, 1),) * 3))
    samples = {name: [s] for name, s in seconds.items()}
    costs = one.multiply_adds, one.num_bytes(4)
    rate = 2 * one.multiply_adds / seconds["auto"]
    return measure.ConvolutionRow(
        "net",
        "2x4x8x8",
        "float32",
        step,
        one.name,
        3,
        one,
        *costs,
        "folded",
        seconds,
        samples,
        rate,
        4 * rate,
    )


def test_tables_say_what_was_measured():
    common = ("net", "2x4x8x8", "float32", "forward")
    ours = (0.0123, 0.05, [0.0123], 162.6, 1234.5, 0.456, 0.987, 3 * 2**20, "compiler", 12.3, 0.45)
    theirs = (0.0125, 0.05, [0.0125], 160.0, 1200.0, 0.44, 1.0, None, "", None, None)
    rows = [
        measure.Row(*common, "vidjax", 10, 20, *ours),
        measure.Row(*common, "PyTorch contiguous", 10, 20, *theirs),
    ]
    found = [
        convolution_row(
            "forward",
            {
                "auto": 1e-3,
                "native": 2e-3,
                "folded": 1e-3,
                "shifted": 4e-3,
                "product": 5e-3,
                "winograd": 6e-3,
                "PyTorch contiguous": 3e-3,
            },
        )
    ]
    about = {
        "machine": {
            "chip": "A chip",
            "devices": 1,
            "products": {"float32": {"jax": 2e11}},
            "bytes_per_second": 2e10,
        },
        "cores": 2,
        "versions": {"jax": "1.2"},
        "date": "2026-01-02T03:04:05",
        "notes": ["Something is left out."],
    }
    text = tables.page(about, rows, found)
    assert (
        "A chip, 2 cores; matrix products in GFLOP/s: float32 200; memory 20.0 GB/s; jax 1.2; 2026-01-02"
        in text
    )
    assert "Note: Something is left out." in text
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line[:1] == "|"
    ]
    first = ["12.3", "5 %", "163", "1,234", "45.6 %", "3", "12.30", "0.45", "0.99"]
    assert lines[2] == [*common, "vidjax", *first]
    assert lines[3][-4:] == ["", "", "", "1.00"]
    assert lines[6][1:] == ["3", "folded", "1", "2", "1", "4", "5", "6", "3", "14.2", "25 %"]
    alone = tables.network_table(
        [measure.Row(*common, "vidjax", 10, 20, *ours[:6], None, *ours[7:])]
    )
    assert "PyTorch" not in alone and len({len(line) for line in alone.splitlines()}) == 1


def test_the_roofline_has_a_panel_for_each_network():
    rows = [
        convolution_row("forward", {"auto": 1e-3, "native": 2e-3}),
        convolution_row("train", {"auto": 1e-3}),
    ]
    ceilings = {"products": {"float32": 1e11}, "bytes_per_second": 1e9}
    picture = Image.open(io.BytesIO(roofline.draw_roofline(rows, **ceilings)))
    assert picture.size == (2 * roofline.WIDTH, 2 * (roofline.HEADING + roofline.PANEL))
    assert roofline.draw_roofline(rows[1:], **ceilings) is None


def test_the_process_beside_outlives_what_goes_wrong():
    with torch_side.TorchSide() as side:
        with pytest.raises(torch_side.TorchError, match="KeyError"):
            side.ask(do="turn", key="none", calls=1)
        assert side.ask(do="drop", key="none") == {}
        side._process.kill()
        with pytest.raises(torch_side.TorchError, match="ended"):
            side.ask(do="drop", key="none")
