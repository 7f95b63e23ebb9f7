"""What the PyTorch worker runs: networks, convolutions and matrix products.

Each `make_*` takes a request and returns call(), which runs it once: queued on a GPU, finished on a
CPU. PyTorch is imported when they are called.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import torch_networks

MOMENTUM, RATE = 0.9, 1e-3  # of gradient descent, as vidjax's contestants have them


def make_network(request: Mapping[str, Any]) -> Callable[[], Any]:
    """Inference or a training step of a network.

    A training step is the forward pass in training mode, cross entropy, gradients, and SGD with
    momentum. The request has `variant`, `clip` [N, T, H, W, C], `num_classes`, `precision`, `step`
    ("forward" or "train"), `layout`, `compiled` and `device`.
    """
    import torch

    variant, clip, device = request["variant"], tuple(request["clip"]), request["device"]
    num_classes, layout = request["num_classes"], request["layout"]
    is_training = request["step"] == "train"
    torch.manual_seed(0)  # the same parameters in every layout
    network = torch_networks.NETWORKS[variant](num_classes, clip[1])
    network = network.to(device).train(is_training)
    _lay_out_parameters(network, layout)
    video = torch.randn(torch_networks.input_shape(variant, clip), device=device)
    video = _laid_out(video, layout)
    label = torch.arange(clip[0], device=device) % num_classes  # [N]
    run = torch.compile(network) if request["compiled"] else network

    # Parameters stay float32 in bfloat16 runs, as ours do.
    def mixed_precision():
        if request["precision"] == "float32":
            return contextlib.nullcontext()
        return torch.autocast(device, dtype=dtype_of(request["precision"]))

    def infer():
        with torch.inference_mode(), mixed_precision():
            return run(video)

    optimiser = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)

    def step():
        optimiser.zero_grad(set_to_none=True)
        with mixed_precision():
            logits = run(video)
        # The loss is float32, as ours is.
        loss = torch.nn.functional.cross_entropy(logits.float(), label)
        loss.backward()
        optimiser.step()
        return loss

    return step if is_training else infer


def make_convolution(request: Mapping[str, Any]) -> Callable[[], Any]:
    """A convolution, and for the step "train" both of its gradients, too.

    The request has `x` [N, T, H, W, C], `kernel` [kt, kh, kw, C / groups, F], `stride`, `padding`,
    `dilation`, `groups`, `step`, `layout`, `device` and `precision`, which is that of the arrays.
    """
    import torch

    n, t, h, w, c = request["x"]
    kt, kh, kw, c_of_group, features = request["kernel"]
    kind = {"device": request["device"], "dtype": dtype_of(request["precision"])}
    x = _laid_out(torch.randn((n, c, t, h, w), **kind), request["layout"])
    kernel = torch.randn((features, c_of_group, kt, kh, kw), **kind)
    kernel = _laid_out(kernel, request["layout"])

    def conv():
        return torch.nn.functional.conv3d(
            x,
            kernel,
            stride=request["stride"],
            padding=request["padding"],
            dilation=request["dilation"],
            groups=request["groups"],
        )

    def forward():
        with torch.inference_mode():
            return conv()

    if request["step"] == "forward":
        return forward
    # From here on the arrays take gradients, so the shape of y is asked for before.
    dy = torch.randn_like(forward())
    x.requires_grad_()
    kernel.requires_grad_()

    def both_gradients():
        return torch.autograd.grad(conv(), (x, kernel), dy)

    return both_gradients


def make_product(request: Mapping[str, Any]) -> Callable[[], Any]:
    """The product of two square matrices; the request has `size`, `precision` and `device`."""
    import torch

    shape = (request["size"], request["size"])
    kind = {"device": request["device"], "dtype": dtype_of(request["precision"])}
    left, right = torch.randn(shape, **kind), torch.randn(shape, **kind)

    def product():
        with torch.inference_mode():
            return left @ right

    return product


def dtype_of(precision: str):
    """PyTorch's type of that name."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def _laid_out(tensor, layout: str):
    """The tensor with channels last if `layout` asks for it; one without such a layout stays."""
    import torch

    formats = {4: torch.channels_last, 5: torch.channels_last_3d}  # by rank
    if layout == "contiguous" or tensor.ndim not in formats:
        return tensor
    return tensor.contiguous(memory_format=formats[tensor.ndim])


def _lay_out_parameters(network, layout: str) -> None:
    # Not `network.to(memory_format=...)`, which takes parameters of one rank only.
    for parameter in network.parameters():
        parameter.data = _laid_out(parameter.data, layout)


MAKERS = {"network": make_network, "convolution": make_convolution, "product": make_product}
