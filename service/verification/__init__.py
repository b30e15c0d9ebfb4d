"""Judgement of what was found: bytes and keys in, verdicts with reasons out."""
