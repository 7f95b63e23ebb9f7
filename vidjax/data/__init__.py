"""Clips on disk become NumPy batches.

`sources` read lists of clips, `sampling` and `clips` choose the frames and the crop of each clip,
`readers` read the pixels, `encoding` makes the labels, and `pipeline` orders and batches the clips.

A batch is a dict of NumPy arrays, with the same keys and shapes in every batch of an iterator:

| key   | dtype, shape          | content                                                       |
|-------|-----------------------|---------------------------------------------------------------|
| video | uint8 [N, T, H, W, 3] | RGB, the sampled frames cropped and resized; padding is 0     |
| label | of the task, [N, ...] | what the task's `encode` returns; padding is 0                |
| mask  | float32 [N]           | 1 for a clip, 0 for a padding row                             |
| id    | int32 [N]             | the clip's position in the list of records; padding is -1     |
| draw  | uint32 [N]            | the seed of all random choices for this clip in this epoch;   |
|       |                       | 0 in evaluation                                               |

A source of features (`sources.features`) has arrays in place of frames: their `video` is float32
[N, T, H, W, C], with the channels that the features have.

N is the number of clips of this process: the global batch divided by the number of processes. The
order of clips and every draw are functions of (seed, epoch, clip), so a run resumes from its step
alone. TensorFlow is imported inside the functions that need it, and JAX never.
"""
