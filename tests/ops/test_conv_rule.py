"""Which form the rule picks for a convolution and for its gradients."""

from vidjax.ops.conv import Spec, winograd
from vidjax.ops.conv.rule import FORMS, LOWERINGS, choose, kernel_gradient_by_winograd

SPATIAL = Spec(padding=((0, 0), (1, 1), (1, 1)))
TEMPORAL = Spec(padding=((1, 1), (0, 0), (0, 0)))
VOLUME = Spec(padding=((1, 1), (1, 1), (1, 1)))
SIZE = (8, 56, 56)
NARROW, WIDE = (3, 3, 3, 32, 32), (3, 3, 3, 64, 64)


def test_a_form_for_each_kind_of_kernel_on_a_cpu():
    cases = [
        ("shifted", (1, 1, 1, 64, 64), Spec()),
        ("shifted", (3, 3, 3, 1, 64), VOLUME._replace(groups=64)),
        ("folded", (1, 7, 7, 64, 144), SPATIAL),
        ("folded", (3, 1, 1, 144, 64), TEMPORAL),
        ("folded", (5, 5, 5, 128, 128), VOLUME),
        ("product", NARROW, VOLUME),
        ("product", (3, 3, 3, 64, 128), VOLUME._replace(stride=(2, 2, 2))),
        ("winograd", (1, 3, 3, 64, 144), SPATIAL),
        ("winograd", WIDE, VOLUME),
    ]
    for form, kernel_shape, spec in cases:
        assert choose(kernel_shape, spec, SIZE, on_cpu=True) == form, (kernel_shape, spec)


def test_other_platforms_and_onednn_use_xla_and_names_are_taken_as_they_are():
    assert choose(WIDE, VOLUME, SIZE, on_cpu=False) == "native"
    assert choose((1, 3, 3, 64, 144), SPATIAL, SIZE, on_cpu=False) == "folded"
    assert choose(WIDE, VOLUME, SIZE, on_cpu=True, lowering="onednn") == "native"
    for form in FORMS:
        assert choose(WIDE, VOLUME, SIZE, on_cpu=True, lowering=form) == form


def test_minimal_filtering_replaces_onednn_for_much_work_or_a_kernel_slow_to_flip():
    """In float32 alone."""
    many, few, heavy = (1, 3, 3, 64, 144), (1, 3, 3, 64, 64), (1, 3, 3, 256, 256)

    def with_onednn(kernel_shape, size, **settings):
        return choose(kernel_shape, SPATIAL, size, on_cpu=True, lowering="onednn", **settings)

    assert with_onednn(many, (8, 56, 56)) == "winograd"
    assert with_onednn(many, (8, 56, 56), dtype="bfloat16") == "native"
    assert with_onednn(few, (8, 28, 28), backward=True) == "native"
    assert with_onednn(heavy, (8, 7, 7)) == "native"
    assert with_onednn(heavy, (8, 7, 7), backward=True) == "winograd"


def test_when_the_gradient_of_a_kernel_is_taken_by_minimal_filtering():
    cases = [
        ((1, 3, 3, 64, 64), SPATIAL, (8, 28, 28), True),
        ((1, 3, 3, 32, 64), SPATIAL, (8, 28, 28), False),
        # With so few positions, most of the work would be to transform the kernel.
        ((1, 3, 3, 512, 512), SPATIAL, (1, 4, 4), False),
        ((1, 3, 3, 64, 64), SPATIAL._replace(stride=(1, 2, 2)), (8, 14, 14), False),
        ((3, 3, 3, 64, 64), VOLUME, (8, 56, 56), False),
        ((3, 3, 3, 128, 128), VOLUME, (4, 28, 28), True),
    ]
    for kernel_shape, spec, out_size, by_rule in cases:
        for lowering in LOWERINGS:
            if lowering in ("auto", "onednn"):
                expected = by_rule
            else:
                expected = lowering == "winograd" and winograd.applies(kernel_shape, spec)
            by_winograd = kernel_gradient_by_winograd(
                kernel_shape, spec, out_size, lowering=lowering
            )
            assert by_winograd == expected, (kernel_shape, lowering)


def test_how_many_frames_are_transformed_at_once(monkeypatch):
    """The largest divisor that keeps the planes below the limit, and at least one."""
    monkeypatch.setattr(winograd, "MAX_PLANE_ELEMENTS", 100)
    assert [winograd.frames_at_once(count, 20) for count in (1, 4, 6, 7, 10)] == [1, 4, 3, 1, 5]
    assert winograd.frames_at_once(3, 1000) == 1
