"""The parts of the benchmarks: turns, convolutions of a network, counts, tables, the picture."""

import io

import jax
import numpy as np
import pytest
from PIL import Image

from benchmarks import (
    compiling,
    jax_convolutions,
    measure_checkouts,
    measure_convolutions,
    measure_networks,
    measure_streams,
    roofline,
    tables,
    targets,
    timing,
)
from benchmarks.jax_convolutions import LOWERINGS, Convolution, Spec
from benchmarks.machine import Machine
from benchmarks.targets import Target
from benchmarks.timing import Contestant
from benchmarks.torch_process import TorchProcess, WorkerError
from vidjax.run import devices


def scripted(name, log, seconds):
    """A contestant that takes `seconds` a call by its own account and notes when it is called."""

    def turn(calls):
        log.append((name, calls))
        return calls * seconds

    return Contestant(name, turn)


def test_contestants_take_turns_in_an_order_that_rotates():
    log = []
    contestants = [
        scripted("a", log, 0.1),
        scripted("b", log, 0.01),
        scripted("c", log, 9),
    ]
    timing.in_turn(contestants, rounds=3, at_least=0.5)
    # each one to warm up, and to find out how many calls fill a turn
    assert [name for name, _ in log[:6]] == list("aabbcc")
    assert {calls for _, calls in log[:6]} == {1}
    turns = log[6:]
    assert turns[::2] == [(name, 1) for name in "abcbcacab"]  # not timed
    assert [name for name, _ in turns[1::2]] == list("abcbcacab")
    assert dict(turns[1::2]) == {"a": 5, "b": 50, "c": 1}
    assert [len(one.samples) for one in contestants] == [3] * 3
    assert contestants[0].seconds == pytest.approx(0.1)


def test_medians_spread_and_the_ratio_within_rounds():
    def one(name, *samples):
        return Contestant(name, turn=float, samples=list(samples))

    ours, slow, best = one("a", 1, 2, 9), one("b", 4, 4, 4), one("c", 1, 1, 3)
    assert ours.seconds == 2 and ours.spread == 2
    # the ratios to c, which has the better median, are 1, 2 and 3
    assert timing.over_best(ours, [slow, best]) == 2
    assert timing.over_best(ours, []) is None
    assert timing.over_best(best, [slow, best]) == 1


# Besides convolutions a network has linear layers: batch x inputs x outputs.
@pytest.mark.parametrize(
    "variant, clip, linear",
    [
        ("r2plus1d_18", (2, 4, 30, 31, 3), 2 * 512 * 400),
        ("slowfast_r50_8x8", (1, 8, 32, 32, 3), 2304 * 400),
        ("tsm_mobilenet_v2_8f", (1, 4, 32, 32, 3), 1280 * 400),
    ],
)
def test_the_convolutions_of_a_network_add_up(variant, clip, linear):
    target = targets.from_variant(variant).at(clip[:4], precision="float32")
    assert target.clip == clip
    rows = jax_convolutions.collect(target)
    assert len(rows) == len({one for one, _ in rows}) > 5
    of_convolutions = sum(count * one.multiply_adds for one, count in rows)
    assert of_convolutions + linear == target.multiply_adds


def test_a_convolution_by_hand():
    spec = Spec((1, 2, 2), ((1, 1), (0, 1), (1, 1)), (1, 1, 1), 8)
    one = Convolution((2, 4, 9, 9, 8), (3, 3, 3, 1, 8), spec)
    assert one.out == (2, 4, 4, 5, 8)
    assert one.multiply_adds == 2 * 4 * 4 * 5 * 8 * 27
    assert one.num_bytes(2) == 2 * (2 * 4 * 81 * 8 + 27 * 8 + 2 * 4 * 20 * 8)
    assert one.name == "4x9x9x8, 3x3x3 to 8, stride 1x2x2, depthwise"
    assert jax_convolutions.for_torch(one) is None  # rows are padded more on one side
    even = Convolution(one.x, one.kernel, spec._replace(padding=((1, 1), (0, 0), (1, 1))))
    assert jax_convolutions.for_torch(even)["padding"] == [1, 0, 1]


@pytest.mark.parametrize("step", ["forward", "train"])
def test_every_lowering_runs(step):
    spec = Spec((1, 2, 1), ((0, 0), (1, 1), (1, 1)), (1, 1, 1), 1)
    one = Convolution((1, 2, 5, 5, 3), (1, 3, 3, 3, 4), spec)
    contestants = []
    for name in ("auto", *LOWERINGS):
        made = jax_convolutions.contestant(one, name, precision="bfloat16", step=step)
        contestants.append(made)
    timing.in_turn(contestants, rounds=1, at_least=0)
    assert all(len(made.samples) == 1 and made.seconds > 0 for made in contestants)
    picked = jax_convolutions.picked(one, "bfloat16")
    assert picked in LOWERINGS
    if devices.has_onednn():
        assert picked == "native"
    same = jax_convolutions.same_as_picked(one, precision="bfloat16", step=step)
    assert same == (picked if step == "forward" else "")  # each gradient picks for itself


def test_a_convolution_of_which_one_tap_meets_more_than_padding():
    """It is lowered as the pointwise one that it is, which no lowering that is forced does."""
    spec = Spec(padding=((1, 1), (0, 0), (0, 0)))
    one = Convolution((2, 1, 7, 7, 8), (3, 1, 1, 8, 4), spec)
    pointwise = Convolution(one.x, (1, 1, 1, 8, 4), Spec())
    picked = jax_convolutions.picked(one, "float32")
    assert picked == jax_convolutions.picked(pointwise, "float32")
    for_step = {"precision": "float32", "step": "forward"}
    assert jax_convolutions.same_as_picked(one, **for_step) == ""
    assert jax_convolutions.same_as_picked(pointwise, **for_step) == picked


def test_published_counts():
    target = Target("resnet3d", "r3d_18", clip=(2, 16, 112, 112, 3))
    assert target.num_parameters == 33371472
    assert target.multiply_adds == pytest.approx(2 * 40.6966e9, rel=1e-4)


def test_the_cache_is_empty_then_filled_then_as_before():
    before = jax.config.jax_compilation_cache_dir
    matrix = np.ones((8, 8), np.float32)
    with compiling.empty_cache():
        assert jax.config.jax_compilation_cache_dir != before
        timed = compiling.compile_twice(lambda: jax.jit(lambda x: (x @ x).sum()).lower(matrix))
    assert jax.config.jax_compilation_cache_dir == before
    assert timed.program(matrix) == 512
    assert timed.cold > 0 and timed.warm > 0
    assert timed.planned_bytes >= 8 * 8 * 4


def convolution_row(step, seconds):
    spec = Spec(padding=((1, 1),) * 3)
    one = Convolution((2, 4, 8, 8, 16), (3, 3, 3, 16, 32), spec)
    rate = 2 * one.multiply_adds / seconds["auto"]
    return measure_convolutions.ConvolutionRow(
        network="net",
        clip="2x4x8x8",
        precision="float32",
        step=step,
        name=one.name,
        count=3,
        convolution=one,
        multiply_adds=one.multiply_adds,
        num_bytes=one.num_bytes(4),
        form=LOWERINGS[1],
        seconds=seconds,
        samples={name: [value] for name, value in seconds.items()},
        rate=rate,
        ceiling=4 * rate,
    )


def network_row(contestant, **values):
    row = {
        "network": "net",
        "clip": "2x4x8x8",
        "precision": "float32",
        "step": "forward",
        "parameters": 10,
        "multiply_adds": 20,
        "spread": 0.05,
        "samples": [values["seconds"]],
        "memory": None,
        "memory_by": "",
        "compile_cold": None,
        "compile_warm": None,
    }
    return measure_networks.Row(contestant=contestant, **{**row, **values})


OURS = {
    "seconds": 0.0123,
    "clips_per_second": 162.6,
    "gflops": 1234.5,
    "mfu": 0.456,
    "over_torch": 0.987,
    "memory": 3 * 2**20,
    "memory_by": "compiler",
    "compile_cold": 12.3,
    "compile_warm": 0.45,
}
THEIRS = {
    "seconds": 0.0125,
    "clips_per_second": 160.0,
    "gflops": 1200.0,
    "mfu": 0.44,
    "over_torch": 1.0,
}
ABOUT = {
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


def cells_of(text):
    """The cells of every line of a table, headers and rules included."""
    lines = []
    for line in text.splitlines():
        if line.startswith("|"):
            lines.append([cell.strip() for cell in line.strip("|").split("|")])
    return lines


def test_tables_say_what_was_measured():
    rows = [network_row("vidjax", **OURS), network_row("PyTorch contiguous", **THEIRS)]
    seconds = {"auto": 1e-3}
    for number, name in enumerate(LOWERINGS, start=2):
        seconds[name] = number * 1e-3
    convolution = convolution_row("forward", {**seconds, "PyTorch contiguous": 3e-3})
    text = tables.page(ABOUT, rows, [convolution])
    machine = "A chip, 2 cores; matrix products in GFLOP/s: float32 200; memory 20.0 GB/s; jax 1.2"
    assert f"{machine}; 2026-01-02" in text
    assert "Note: Something is left out." in text
    lines = cells_of(text)
    first = ["12.3", "5 %", "163", "1,234", "45.6 %", "3", "12.30", "0.45", "0.99"]
    assert lines[2] == ["net", "2x4x8x8", "float32", "forward", "vidjax", *first]
    assert lines[3][-4:] == ["", "", "", "1.00"]
    of_lowerings = [str(number) for number, _ in enumerate(LOWERINGS, start=2)]
    middle = ["3", LOWERINGS[1], "1", *of_lowerings, "3"]
    assert lines[6][1:] == [*middle, "14.2", "25 %"]


def test_a_table_without_pytorch_has_no_column_for_it():
    text = tables.network_table([network_row("vidjax", **{**OURS, "over_torch": None})])
    assert "PyTorch" not in text
    assert len({len(line) for line in text.splitlines()}) == 1  # all lines are as long


def test_the_table_of_checkouts():
    row = measure_checkouts.CheckoutRow(
        network="net",
        clip="2x4x8x8",
        precision="float32",
        step="train",
        checkout="/folder",
        seconds=0.0123,
        spread=0.05,
        samples=[0.0123],
        ratio=0.987,
    )
    environment = {
        "devices": ["1 x cpu (2 cores)"],
        "versions": {"jax": "1.2"},
        "started": "2026-01-02T03:04:05",
    }
    text = tables.checkout_page(environment, [row])
    assert text.startswith("1 x cpu (2 cores); jax 1.2; 2026-01-02\n")
    expected = ["net", "2x4x8x8", "float32", "train", "/folder", "12.3", "5 %", "0.987"]
    assert cells_of(text)[2] == expected


def test_the_table_of_streams():
    row = measure_streams.StreamRow(
        network="net",
        frame="1x8x8",
        precision="float32",
        period=8,
        frames_per_second=40.0,
        spread=0.05,
        fresh_seconds=0.05,
        carried_bytes=1_234_567,
        clip_frames=16,
        clip_seconds_per_frame=0.02,
        samples=[0.025],
    )
    environment = {"devices": ["a"], "versions": {"jax": "1.2"}, "started": "2026-01-02"}
    text = tables.stream_page(environment, [row])
    expected = ["net", "1x8x8", "float32", "8", "40.0", "25.0", "5 %", "50.0", "1.23", "20.0"]
    assert cells_of(text)[2] == expected


def test_the_roofline_has_a_panel_for_each_network():
    rows = [
        convolution_row("forward", {"auto": 1e-3, "native": 2e-3}),
        convolution_row("train", {"auto": 1e-3}),
    ]
    machine = Machine("A chip", 1, {"float32": {"jax": 1e11}}, 1e9)
    picture = Image.open(io.BytesIO(roofline.draw(rows, machine)))
    assert picture.size == (2 * roofline.WIDTH, 2 * (roofline.HEADING + roofline.PANEL))
    assert roofline.draw(rows[1:], machine) is None


def test_a_worker_outlives_what_goes_wrong():
    with TorchProcess() as torch:
        with pytest.raises(WorkerError, match="KeyError"):
            torch.ask(do="turn", key="none", calls=1)
        assert torch.ask(do="drop", key="none") == {}
        torch._process.kill()
        with pytest.raises(WorkerError, match="ended"):
            torch.ask(do="drop", key="none")
