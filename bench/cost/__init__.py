"""What the parts of a run cost: benchmarks that measure and assert nothing, one per file.

`step` holds a training step against the bare network, `objective` measures objectives alone, `turns` steps of several
methods by turns, `views` augmentation, `stream` pictures decoded as they are asked for, `peers` other libraries in the
same rounds, `growth` fits how time and memory grow, `processes` holds runs in several
processes against one, `harness` is planning and reports, `predictions` what --dry-run says beside what runs take.
"""
