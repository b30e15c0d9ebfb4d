"""The shapes of requests and answers, one module a resource.

Schemas of requests check shape, refuse unknown fields and build the operation's values; they
never look anything up. Schemas of answers are documentation that the tests hold the dumped
answers against: the dumping itself is `service.web.dump`, because an answer may have 1,000
items and marshmallow would cost more than signing them.
"""
