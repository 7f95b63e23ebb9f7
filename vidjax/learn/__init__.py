"""What happens to a batch on the device: augmentation, losses, metrics, optimisers, steps.

JAX only: TensorFlow is never imported here.
"""
