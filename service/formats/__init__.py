"""Signature formats, to the byte: pure functions from values to bytes and back."""
