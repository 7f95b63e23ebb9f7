"""Convolutions to test, and what a direct sum in float64 makes of them."""

import itertools

import jax.numpy as jnp
import numpy as np

ONE = (1, 1, 1)

# name: clip [T, H, W, C], kernel [kt, kh, kw], features, stride, padding, groups, and the dilation
# where it is not 1
CASES = {
    "pointwise": ((3, 5, 4, 9), ONE, 8, ONE, (0, 0, 0), 1),
    "pointwise strided": ((5, 6, 7, 3), ONE, 4, (2, 2, 2), (0, 0, 0), 1),
    "pointwise strided, wide": ((5, 6, 7, 8), ONE, 4, (2, 2, 3), (0, 0, 0), 1),
    "space": ((3, 6, 7, 9), (1, 3, 3), 4, ONE, (0, 1, 1), 1),
    "space, few channels": ((3, 6, 7, 3), (1, 3, 3), 4, ONE, (0, 1, 1), 1),
    "space strided": ((4, 7, 9, 8), (1, 3, 3), 5, (1, 2, 2), (0, 1, 1), 1),
    "space strided, even": ((2, 8, 6, 8), (1, 3, 3), 5, (1, 2, 2), (0, 1, 1), 1),
    "space, frames skipped": ((5, 6, 5, 8), (1, 3, 3), 4, (2, 2, 1), (0, 1, 1), 1),
    "space, window not square": ((2, 6, 7, 8), (1, 3, 2), 4, (1, 2, 3), (0, 2, 0), 1),
    "space, one row": ((2, 5, 6, 8), (1, 1, 3), 4, ONE, (0, 0, 1), 1),
    "space, stride over kernel": ((2, 9, 8, 8), (1, 2, 2), 4, (1, 3, 3), (0, 0, 0), 1),
    "space, zeros in time": ((2, 5, 5, 8), (1, 3, 3), 4, ONE, (1, 1, 1), 1),
    "space, stem": ((2, 11, 10, 3), (1, 5, 5), 6, (1, 2, 2), (0, 2, 2), 1),
    "space grouped": ((2, 5, 6, 16), (1, 3, 3), 6, (1, 2, 2), (0, 1, 1), 2),
    "space depthwise": ((2, 5, 6, 8), (1, 3, 3), 8, ONE, (0, 1, 1), 8),
    "time": ((5, 3, 4, 9), (3, 1, 1), 4, ONE, (1, 0, 0), 1),
    "time, few channels": ((5, 3, 4, 2), (3, 1, 1), 4, ONE, (1, 0, 0), 1),
    "time strided": ((7, 3, 4, 8), (3, 1, 1), 5, (2, 1, 1), (1, 0, 0), 1),
    "time, no zeros": ((6, 3, 2, 8), (3, 1, 1), 5, (2, 1, 1), (0, 0, 0), 1),
    "time, lateral": ((16, 3, 4, 8), (5, 1, 1), 6, (4, 1, 1), (2, 0, 0), 1),
    "time, rows skipped": ((4, 5, 6, 8), (3, 1, 1), 5, (2, 2, 2), (1, 0, 0), 1),
    "time, zeros in space": ((4, 3, 3, 8), (3, 1, 1), 5, ONE, (1, 1, 1), 1),
    "time, one frame": ((1, 3, 4, 8), (3, 1, 1), 5, ONE, (1, 0, 0), 1),
    "time depthwise": ((5, 3, 4, 8), (3, 1, 1), 8, (2, 1, 1), (1, 0, 0), 8),
    "volume": ((4, 5, 6, 9), (3, 3, 3), 4, ONE, (1, 1, 1), 1),
    "volume strided": ((5, 7, 6, 8), (3, 3, 3), 4, (2, 2, 2), (1, 1, 1), 1),
    "volume strided, two taps": ((4, 5, 6, 8), (2, 2, 2), 4, (2, 2, 1), (1, 0, 1), 1),
    "volume, one frame": ((1, 5, 6, 8), (3, 3, 3), 4, (2, 1, 1), (1, 1, 1), 1),
    "volume, stem": ((4, 9, 10, 3), (2, 5, 5), 6, (1, 2, 2), ((1, 0), (2, 2), (2, 2)), 1),
    "volume, even kernel": ((4, 5, 6, 3), (2, 2, 2), 4, ONE, (0, 0, 0), 1),
    "volume grouped": ((4, 5, 5, 8), (3, 3, 3), 6, (2, 2, 2), (1, 1, 1), 2),
    "volume depthwise": ((4, 5, 5, 4), (3, 3, 3), 8, ONE, (1, 1, 1), 4),
    "volume, uneven zeros": ((4, 5, 6, 8), (3, 3, 2), 4, (2, 2, 1), ((0, 1), (1, 2), (2, 0)), 1),
    "volume, zeros alone at the ends": ((1, 2, 2, 8), (3, 5, 5), 4, ONE, (1, 2, 2), 1),
    "volume, no zeros": ((5, 6, 7, 9), (3, 3, 3), 4, ONE, (0, 0, 0), 1),
    "volume, one row": ((4, 5, 7, 8), (3, 1, 3), 4, ONE, ((0, 2), (1, 1), (2, 0)), 1),
    "space, zeros on one side": ((3, 6, 7, 9), (1, 3, 3), 4, ONE, ((0, 0), (2, 0), (0, 1)), 1),
    "volume dilated": ((5, 9, 8, 8), (3, 3, 3), 4, ONE, (2, 1, 2), 1, (2, 1, 2)),
    "time dilated, strided, one tap met": (
        (3, 4, 4, 2),
        (3, 1, 1),
        2,
        (2, 1, 1),
        (2, 0, 0),
        1,
        (3, 1, 1),
    ),
    "rows dilated, strided, one tap met": (
        (2, 5, 4, 2),
        (1, 3, 1),
        2,
        (1, 3, 1),
        (0, 2, 0),
        1,
        (1, 3, 1),
    ),
    "volume, more zeros than taps": ((2, 4, 4, 3), (2, 3, 2), 4, ONE, ((3, 4), (3, 0), (2, 2)), 1),
    "volume dilated, strided": ((7, 9, 8, 3), (3, 3, 2), 4, (2, 1, 2), (2, 2, 0), 1, (2, 2, 1)),
    "space dilated": ((2, 9, 8, 8), (1, 3, 3), 4, (1, 2, 1), (0, 2, 3), 1, (1, 2, 3)),
    "time dilated": ((7, 3, 4, 8), (3, 1, 1), 5, (2, 1, 1), (2, 0, 0), 1, (2, 1, 1)),
    "depthwise dilated": ((5, 6, 5, 4), (3, 3, 3), 4, (1, 2, 2), (2, 1, 1), 4, (2, 1, 1)),
    "few positions": ((1, 3, 2, 40), (3, 3, 3), 6, ONE, (1, 1, 1), 1),
    "few positions, strided": ((5, 4, 3, 80), (3, 3, 2), 5, (2, 2, 1), ((0, 1), (1, 2), (2, 0)), 1),
    "few positions, dilated": ((3, 5, 4, 70), (2, 3, 3), 5, (1, 2, 2), (1, 2, 1), 1, (2, 2, 1)),
    "space, many channels": ((2, 4, 4, 130), (1, 3, 3), 8, ONE, (0, 1, 1), 1),
    "space, stem of 7x7": ((2, 15, 14, 3), (1, 7, 7), 6, (1, 2, 2), (0, 3, 3), 1),
    "volume, stem of 7x7": ((4, 15, 14, 3), (3, 7, 7), 6, (1, 2, 2), (1, 3, 3), 1),
    "volume, stem of 7x7x7": ((9, 15, 14, 3), (7, 7, 7), 6, (1, 2, 2), (3, 3, 3), 1),
}
SWEPT = [name for name in CASES if "of 7x7" in name]  # they have many taps
# One for each way through the lowerings, with few taps: taps are what takes long to compile.
SOME = (
    "pointwise strided, wide",
    "space strided",
    "time strided",
    "volume strided, two taps",
    "time depthwise",
)


# Three taps in time as well, which minimal filtering transforms too.
VOLUMES = ("time", "volume", "volume strided")


def reference(x, kernel, dy, stride, padding, groups, dilation=ONE):
    """(y, dx, dkernel) in float64, tap by tap: strided slices of the padded clip times the tap."""
    x, kernel = np.float64(x), np.float64(kernel)
    pads = [(0, 0), *((p, p) if isinstance(p, int) else p for p in padding), (0, 0)]
    seen = np.pad(x, pads)
    axes = zip(seen.shape[1:4], kernel.shape[:3], dilation, stride, strict=True)
    size = [(n - (k - 1) * d - 1) // s + 1 for n, k, d, s in axes]
    y = np.zeros((len(x), *size, kernel.shape[-1]))
    dy = np.resize(np.float64(dy), y.shape)
    dx, dkernel = np.zeros_like(seen), np.zeros_like(kernel)
    c, f = kernel.shape[3], kernel.shape[4] // groups
    for tap in itertools.product(*map(range, kernel.shape[:3])):
        starts = [o * d for o, d in zip(tap, dilation, strict=True)]
        where = tuple(
            slice(o, o + s * (n - 1) + 1, s) for o, s, n in zip(starts, stride, size, strict=True)
        )
        for g in range(groups):
            channels, features = slice(g * c, (g + 1) * c), slice(g * f, (g + 1) * f)
            at = (slice(None), *where, channels)
            y[..., features] += seen[at] @ kernel[tap][:, features]
            dx[at] += dy[..., features] @ kernel[tap][:, features].T
            dkernel[(*tap, slice(None), features)] = np.einsum(
                "nthwc,nthwf->cf", seen[at], dy[..., features]
            )
    return (
        y,
        dx[tuple(slice(a, n - b) for (a, b), n in zip(pads, seen.shape, strict=True))],
        dkernel,
    )


def arrays(case, n=2, dtype=np.float32):
    """x, kernel, values to repeat as dy, and the settings of a case."""
    video, kernel, features, stride, padding, groups, *dilation = CASES[case]
    rng = np.random.default_rng(list(case.encode()))
    x, k = (
        rng.standard_normal((n, *video)),
        rng.standard_normal((*kernel, video[-1] // groups, features)),
    )
    settings = {"stride": stride, "padding": padding, "groups": groups}
    settings |= {"dilation": dilation[0]} if dilation else {}
    return *(np.asarray(jnp.asarray(a, dtype)) for a in (x, k, rng.standard_normal(2048))), settings
