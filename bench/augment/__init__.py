"""Augmented views of a batch, made on its device with parameters of their own for every sample.

One operation per file; `pipeline` draws the parameters and puts the operations together.
"""
