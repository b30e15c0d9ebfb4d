"""Plug-ins by which stock cosign and notation sign through this service.

Each is a program of its own that the other tool starts for every call, so they import the standard
library and `service.client` only; what checks signatures is imported when one is to be checked.
They need `POST /v1/keys/{name}/payload-signatures` and public calls, and nothing else.
"""
