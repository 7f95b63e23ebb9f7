"""What happens to a batch on the device: augmentation, losses, metrics, optimisers, steps (never TensorFlow)."""
