"""Scores of a frozen encoder: features, weighted kNN and the linear probe."""
