"""Files for verifiers' own tools, each written by one small module from the same facts.

Pure: what is trusted is decided by who calls. Keys stand inline, so that a file works wherever
it lies.
"""
