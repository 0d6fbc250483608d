"""What the parts of a run cost: benchmarks that measure and assert nothing, one per file.

`step` holds a training step against the bare network, `objective` measures objectives alone, `views` augmentation,
`peers` other libraries in the same rounds, `growth` fits how time and memory grow, `harness` is planning and reports.
"""
