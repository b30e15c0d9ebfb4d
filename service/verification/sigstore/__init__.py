"""Sigstore bundles of anybody, checked offline: keyless or by key, of every version."""
