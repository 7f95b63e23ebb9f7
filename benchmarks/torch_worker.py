"""The process that runs PyTorch: it needs PyTorch alone, not JAX, so that both may live in environments of their own.

It reads a request a line from stdin and answers with a line on stdout, both JSON objects. In between it sleeps on its
pipe and takes nothing from whoever is measured then. Requests by `do`: "hello" tells versions and device, "make" builds
what `torch_programs.MAKERS` has under `what`, "turn" runs it `calls` times, "check" looks at what it gives, "drop"
forgets it, "counts" counts a network.
"""

import json
import os
import sys
import time
from typing import Any

from benchmarks import torch_networks, torch_programs


def main() -> None:
    """Answers until stdin ends. What goes wrong with a request is its answer's `error`."""
    # Whatever a library prints goes to stderr: stdout is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    kept: dict[str, dict[str, Any]] = {}
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            answer = ANSWERS[ask["do"]](ask, kept)
        except Exception as error:  # of any kind: the bench goes on without this contestant
            words = str(error).strip().splitlines() or [""]
            answer = {"error": f"{type(error).__name__}: {words[0][:300]}"}
        print(json.dumps(answer), file=answers, flush=True)


def hello(ask, kept) -> dict[str, Any]:
    """Version, threads, and the name of the GPU ("" without one); sets what holds for the whole process."""
    import torch

    torch.set_num_threads(ask["threads"])
    gpu = torch.cuda.is_available()
    if gpu:
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")  # TF32, which is JAX's default there, too
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if gpu else "",
    }


def make(ask, kept) -> dict[str, Any]:
    """Builds and runs it once: seconds of that first call, and on a GPU the bytes that it took at most."""
    import torch

    gpu = ask["device"] == "cuda"
    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated() if gpu else 0
    call = torch_programs.MAKERS[ask["what"]](ask)
    began = time.perf_counter()
    call()
    _wait(ask["device"])
    answer = {"first": time.perf_counter() - began}
    if gpu:
        answer["memory"] = torch.cuda.max_memory_allocated() - held
    kept[ask["key"]] = {"call": call, "device": ask["device"]}
    return answer


def turn(ask, kept) -> dict[str, float]:
    """Seconds of `calls` calls."""
    call, device = kept[ask["key"]]["call"], kept[ask["key"]]["device"]
    _wait(device)
    began = time.perf_counter()
    for _ in range(ask["calls"]):
        call()
    _wait(device)
    return {"seconds": time.perf_counter() - began}


def check(ask, kept) -> dict[str, bool]:
    """Whether every number that a call gives is finite: some kernels' are not, whatever they are given."""
    import torch

    return {"finite": bool(torch.isfinite(kept[ask["key"]]["call"]()).all())}


def drop(ask, kept) -> dict[str, Any]:
    """Forgets what was made under a key."""
    kept.pop(ask["key"], None)
    return {}


def counts(ask, kept) -> dict[str, int]:
    """Parameters and multiply-adds of a network."""
    parameters, multiply_adds = torch_networks.counts(
        ask["variant"], tuple(ask["clip"]), ask["num_classes"]
    )
    return {"parameters": parameters, "multiply_adds": multiply_adds}


def _wait(device):
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


ANSWERS = {
    "hello": hello,
    "make": make,
    "turn": turn,
    "check": check,
    "drop": drop,
    "counts": counts,
}

if __name__ == "__main__":
    main()
