"""Augmented views of a batch, made on its device with parameters of their own for every sample.

`pipeline` draws the parameters and puts the operations together: on a GPU those on whole batches, one per file; on a
CPU those of `compiled`, which take one picture after the other.
"""
