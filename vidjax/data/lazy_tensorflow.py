"""TensorFlow, imported when it is first used: it takes seconds, and many jobs read no clip."""

from typing import Any


def import_tensorflow() -> Any:
    """Returns the module, with the GPUs hidden from it: they belong to JAX."""
    import tensorflow as tf

    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        # Something in this process has already used TensorFlow, and devices cannot be hidden
        # after that.
        pass
    return tf
