"""Devices: one mesh over all of them, how arrays lie on it, and how programs are compiled for it."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.core.errors import UserError

# Initialisation runs once: random numbers take 20 s to compile at the usual level and half a second at this one, for
# the same bits.
INIT_OPTIONS = {"xla_backend_optimization_level": 1}


ONEDNN = "xla_cpu_experimental_onednn_custom_call"


def has_onednn() -> bool:
    """Whether programs for this machine's CPU can use oneDNN's convolutions: jaxlib 0.11 and later, on x86."""
    new = tuple(map(int, jaxlib.__version__.split(".")[:2])) >= (0, 11)
    return new and jax.default_backend() == "cpu" and platform.machine() in ("x86_64", "AMD64")


def compiler_options(*, onednn: bool = True) -> dict[str, bool]:
    """What every program but initialisation is compiled with here."""
    return {ONEDNN: True} if onednn and has_onednn() else {}


def lowering(options: Mapping[str, bool]) -> str:
    """The rule of `ops.conv` that goes with compiler options: what "auto" means for a program compiled with them."""
    return "onednn" if options.get(ONEDNN) else "auto"


def use_compilation_cache(folder: Path) -> None:
    """Keeps compiled programs in `folder`, so that the second start is quick."""
    folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def is_first_process() -> bool:
    """Whether this process is the one that writes files and talks. Does not start the devices of a single process."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def make_mesh() -> Mesh:
    """All devices of all processes along one axis, `data`."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device: state and sums."""
    return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh) -> NamedSharding:
    """The first axis cut over the devices: a batch."""
    return NamedSharding(mesh, PartitionSpec("data"))


def check_batch(batch_size: int, mesh: Mesh) -> None:
    """Raises UserError for a batch that cannot be cut into equal parts."""
    count = mesh.devices.size
    if batch_size % count:
        near = max(count, round(batch_size / count) * count)
        raise UserError(
            f"config.batch_size={batch_size} cannot be divided among {count} devices. "
            f"The nearest that can is --config.batch_size={near}."
        )


def put(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """This process's rows of a batch -> global arrays, cut over the devices; the copy goes on in the background."""
    sharding = sharded(mesh)
    return {
        key: jax.make_array_from_process_local_data(sharding, value) for key, value in batch.items()
    }


def abstract(tree: Any, mesh: Mesh) -> Any:
    """Shapes, types and a replicated sharding for each array: what a checkpoint is restored into."""
    sharding = replicated(mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def describe() -> list[str]:
    """A line for each kind of device: '2 x NVIDIA H200', '1 x cpu (2 cores)'."""
    kinds = [d.device_kind for d in jax.devices()]
    cores = f" ({os.cpu_count()} cores)" if jax.default_backend() == "cpu" else ""
    return [f"{kinds.count(kind)} x {kind}{cores}" for kind in dict.fromkeys(kinds)]
