"""What the PyTorch process measures: inference and training steps of a network, a convolution, a matrix product.

Each `make_*` returns call(): one run of it, queued on a GPU, done on a CPU. PyTorch is imported when they are called.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import torch_networks

MOMENTUM, RATE = 0.9, 1e-3


def dtype_of(precision: str):
    """PyTorch's type of that name."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def _laid_out(thing, layout: str):
    """A tensor or module channels last where `layout` asks for it; what has no such layout stays as it is."""
    import torch

    if layout == "contiguous":
        return thing
    if isinstance(thing, torch.nn.Module):
        for parameter in thing.parameters():
            parameter.data = _laid_out(parameter.data, layout)
        return thing
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return thing.contiguous(memory_format=formats[thing.ndim]) if thing.ndim in formats else thing


def make_network(ask: Mapping[str, Any]) -> Callable[[], Any]:
    """Of `variant`, `clip` [N, T, H, W, C], `num_classes`, `precision`, `step`, `layout`, `compiled`, `device`.

    A training step is the forward pass in training mode, cross entropy, gradients, and SGD with momentum.
    """
    import torch

    variant, clip, device = ask["variant"], tuple(ask["clip"]), ask["device"]
    train = ask["step"] == "train"
    torch.manual_seed(0)
    network = torch_networks.NETWORKS[variant](ask["num_classes"], clip[1]).to(device).train(train)
    network = _laid_out(network, ask["layout"])
    video = _laid_out(
        torch.randn(torch_networks.input_shape(variant, clip), device=device), ask["layout"]
    )
    label = torch.arange(clip[0], device=device) % ask["num_classes"]
    run = torch.compile(network) if ask["compiled"] else network

    def mixed():
        if ask["precision"] == "float32":
            return contextlib.nullcontext()
        return torch.autocast(device, dtype=dtype_of(ask["precision"]))

    def infer():
        with torch.inference_mode(), mixed():
            return run(video)

    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with mixed():
            logits = run(video)
        loss = torch.nn.functional.cross_entropy(logits.float(), label)
        loss.backward()
        optimizer.step()
        return loss

    return step if train else infer


def make_convolution(ask: Mapping[str, Any]) -> Callable[[], Any]:
    """Of `x` [N, T, H, W, C], `kernel` [kt, kh, kw, C / groups, F], `stride`, `padding`, `dilation`, `groups`.

    `step` "forward" or "train", which is both gradients, too; `precision` is that of the arrays.
    """
    import torch

    (n, t, h, w, c), (kt, kh, kw, inner, features) = ask["x"], ask["kernel"]
    kind = {"device": ask["device"], "dtype": dtype_of(ask["precision"])}
    x = _laid_out(torch.randn((n, c, t, h, w), **kind), ask["layout"])
    kernel = _laid_out(torch.randn((features, inner, kt, kh, kw), **kind), ask["layout"])
    settings = [ask[key] for key in ("stride", "padding", "dilation", "groups")]

    def forward():
        with torch.inference_mode():
            return torch.nn.functional.conv3d(x, kernel, None, *settings)

    if ask["step"] == "forward":
        return forward
    dy = torch.randn_like(forward())
    x.requires_grad_()
    kernel.requires_grad_()

    def both():
        y = torch.nn.functional.conv3d(x, kernel, None, *settings)
        return torch.autograd.grad(y, (x, kernel), dy)

    return both


def make_product(ask: Mapping[str, Any]) -> Callable[[], Any]:
    """Of two square matrices of `size` in `precision`."""
    import torch

    shape, kind = (
        (ask["size"], ask["size"]),
        {"device": ask["device"], "dtype": dtype_of(ask["precision"])},
    )
    left, right = torch.randn(shape, **kind), torch.randn(shape, **kind)

    def product():
        with torch.inference_mode():
            return left @ right

    return product


MAKERS = {"network": make_network, "convolution": make_convolution, "product": make_product}
