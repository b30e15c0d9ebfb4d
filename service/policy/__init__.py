"""Decisions on data alone: who may do what, as values with reasons. Nothing means no."""
