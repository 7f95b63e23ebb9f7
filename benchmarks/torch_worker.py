"""The worker that runs PyTorch. It needs PyTorch and not JAX, which may live elsewhere.

Its requests are, by `do`: "hello" returns versions and device, "make" builds what
`torch_programs.MAKERS` has under `what`, "turn" runs it `calls` times, "check" looks at its
results, "drop" forgets it, "counts" counts a network.
"""

import time
from typing import Any

from benchmarks import torch_networks, torch_programs, worker
from benchmarks.worker import Made


def main() -> None:
    """Answers until stdin ends."""
    worker.serve(ANSWERS)


def hello(request, kept) -> dict[str, Any]:
    """Sets what holds for the process; returns version, threads and GPU ('' without one)."""
    import torch

    torch.set_num_threads(request["threads"])
    gpu = ""
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_name()
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")  # TF32, as JAX does on a GPU
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "gpu": gpu}


def make(request, kept) -> dict[str, Any]:
    """Builds and runs it once; returns the seconds of that call, on a GPU its most bytes, too."""
    import torch

    device = request["device"]
    is_gpu = device == "cuda"
    held = 0
    if is_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
    call = torch_programs.MAKERS[request["what"]](request)
    turn = make_turn(call, device)
    answer = {"first": turn(1), "compiled": request.get("compiled", False)}
    if is_gpu:
        answer["memory"] = torch.cuda.max_memory_allocated() - held
        answer["memory_by"] = "device"
    kept[request["key"]] = Made(call, turn)
    return answer


def make_turn(call, device: str):
    """turn(calls) -> seconds; a GPU gets all calls at once."""

    def turn(calls):
        _wait(device)
        began = time.perf_counter()
        for _ in range(calls):
            call()
        _wait(device)
        return time.perf_counter() - began

    return turn


def _wait(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def check(request, kept) -> dict[str, bool]:
    """Whether all numbers of one more result are finite; not all of PyTorch's kernels manage."""
    import torch

    result = kept[request["key"]].call()
    return {"finite": bool(torch.isfinite(result).all())}


def counts(request, kept) -> dict[str, int]:
    """Parameters and multiply-adds of a network."""
    parameters, multiply_adds = torch_networks.counts(
        request["variant"], tuple(request["clip"]), num_classes=request["num_classes"]
    )
    return {"parameters": parameters, "multiply_adds": multiply_adds}


ANSWERS = {
    "hello": hello,
    "make": make,
    "turn": worker.turn,
    "check": check,
    "drop": worker.drop,
    "counts": counts,
}

if __name__ == "__main__":
    main()
