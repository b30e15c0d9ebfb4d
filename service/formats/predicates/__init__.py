"""What predicates must be to be attested, one module a type that is known.

Where a well-kept library of the field knows the type, the library decides; it is imported by the
function that asks it, for most processes never see a predicate. Types that nobody here knows are
attested as they are: any JSON object under any URI.
"""
