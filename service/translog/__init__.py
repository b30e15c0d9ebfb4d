"""The transparency log to the byte, pure: trees, proofs, tiles, notes, Rekor's documents."""
