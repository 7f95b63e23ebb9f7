"""Disk to NumPy batches: sources list clips, sampling chooses frames and crops, decode reads them, pipeline batches.

A batch is a dict of NumPy arrays, the same keys and shapes for every batch of an iterator:

| key   | dtype, shape          | what                                                                                 |
|-------|-----------------------|--------------------------------------------------------------------------------------|
| video | uint8 [N, T, H, W, 3] | RGB, the sampled frames cropped and resized; zeros in a padding row                  |
| label | int32 [N]             | index into the source's classes; -1 where the split has none, 0 in a padding row     |
| mask  | float32 [N]           | 1 for a clip, 0 for a padding row                                                    |
| id    | int32 [N]             | the clip's position in its split's list of records; -1 in a padding row              |
| draw  | uint32 [N]            | the seed of every random choice for this clip in this epoch; 0 in evaluation         |

N is the number of clips of this process: the global batch divided by the number of processes. The order of clips and
every draw are functions of (seed, epoch, clip), so nothing has to be saved to resume but the step.
TensorFlow is imported inside the functions that need it, and JAX never.
"""
