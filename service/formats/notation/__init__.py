"""Notary Project signatures: one payload, two envelopes (JWS and COSE_Sign1)."""
