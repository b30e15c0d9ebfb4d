"""`make bench`: ratios to ceilings that were measured in the same round (docs/performance.md)."""
