"""The command line: HTTP clients with the caller's own credential, and a few local commands."""
