"""Devices: one mesh over all of them, how arrays lie on it, how programs are compiled."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidjax.core.errors import StorageError, UserError
from vidjax.core.machine import num_cores

# Initialisation runs once: its random numbers take 20 s to compile at the usual level, and half a
# second at this one, for the same bits.
INIT_OPTIONS = {"xla_backend_optimization_level": 1}

ONEDNN = "xla_cpu_experimental_onednn_custom_call"  # the compiler option that turns oneDNN on
ONEDNN_SINCE = (0, 11)  # the jaxlib that has it


def jaxlib_version() -> tuple[int, ...]:
    """The major and the minor number, as compiler options come and go with them."""
    return tuple(int(part) for part in jaxlib.__version__.split(".")[:2])


def has_onednn() -> bool:
    """Whether programs for this machine's CPU can use oneDNN's convolutions (on x86 only)."""
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    return jaxlib_version() >= ONEDNN_SINCE and is_x86 and jax.default_backend() == "cpu"


def compiler_options(*, onednn: bool = True) -> dict[str, bool]:
    """The options that every program except initialisation is compiled with on this machine."""
    if onednn and has_onednn():
        return {ONEDNN: True}
    return {}


def lowering(options: Mapping[str, bool]) -> str:
    """What the lowering "auto" of convolutions means for a program compiled with these options."""
    return "onednn" if options.get(ONEDNN) else "auto"


def use_compilation_cache(folder: Path) -> None:
    """Keeps compiled programs in `folder`, so that the second start is quick.

    Raises StorageError where the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def is_first_process() -> bool:
    """Whether this process is the one that writes files and messages."""
    # Asking for the index would start the devices, which a single process may not want yet.
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def make_mesh() -> Mesh:
    """All devices of all processes along one axis, `data`."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of state and sums: the same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh) -> NamedSharding:
    """The sharding of a batch: its first axis is cut over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def check_batch(batch_size: int, mesh: Mesh) -> None:
    """Raises UserError for a batch that cannot be cut into equal parts."""
    # XLA cuts the first axis into equal parts only.
    count = mesh.devices.size
    if batch_size % count:
        nearest = max(count, round(batch_size / count) * count)
        raise UserError(
            f"config.batch_size={batch_size} cannot be divided among {count} devices. "
            f"The nearest that can is --config.batch_size={nearest}."
        )


def fitting_batch(num_clips: int) -> int:
    """The smallest batch that holds so many clips and can be cut into a part for each device."""
    count = jax.device_count()
    return -(-num_clips // count) * count


def put(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """This process's rows of a batch -> global arrays, cut over the devices, without waiting."""
    sharding = sharded(mesh)
    return {
        key: jax.make_array_from_process_local_data(sharding, value) for key, value in batch.items()
    }


def abstract(tree: Any, mesh: Mesh) -> Any:
    """Shape, dtype and a replicated sharding for each array: what a checkpoint is restored into."""
    sharding = replicated(mesh)

    def describe_leaf(leaf):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(describe_leaf, tree)


def describe() -> list[str]:
    """A line for each kind of device, such as '2 x NVIDIA H200' and '1 x cpu (2 cores)'."""
    kinds = [device.device_kind for device in jax.devices()]
    cores = f" ({num_cores()} cores)" if jax.default_backend() == "cpu" else ""
    distinct = dict.fromkeys(kinds)  # a set that keeps the order
    return [f"{kinds.count(kind)} x {kind}{cores}" for kind in distinct]
