"""What learnt representations look like, beside how well they classify."""
