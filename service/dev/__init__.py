"""`sealwright dev`: the whole product on loopback, set up, supervised and ended as one.

It runs the production code and only supervises: nothing in here answers a request.
"""
