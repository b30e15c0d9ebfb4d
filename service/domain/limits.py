"""Limits on everything that comes from outside, in one place, each with its reason."""

from __future__ import annotations

from typing import Final

MAX_IMAGES_PER_SIGNING: Final = 1000  # the contract; one commit of this size is still short
MAX_IMAGES_PER_VERIFICATION: Final = 100  # each one asks a registry
MAX_BODY_BYTES: Final = 8 * 1024 * 1024  # 1,000 images with long references and annotations
MAX_REFERENCE_CHARS: Final = 1024  # host, 255 of repository (distribution's limit), tag, digest
MAX_REPOSITORY_CHARS: Final = 255  # distribution/reference: NameTotalLengthMax
MAX_ITEM_ID_CHARS: Final = 256  # the caller's own name for an item, echoed back
MAX_IDENTITY_CHARS: Final = 1024  # a reference at most
MAX_ANNOTATIONS: Final = 64  # they are signed into every payload of the batch
MAX_ANNOTATION_KEY_CHARS: Final = 256
MAX_ANNOTATION_VALUE_CHARS: Final = 4096
MAX_IDEMPOTENCY_KEY_CHARS: Final = 255  # the IETF draft names no limit; a UUID has 36
MAX_NAME_CHARS: Final = 64  # keys, credentials
MAX_REASON_CHARS: Final = 500  # a sentence or two, kept in the audit trail
MAX_URI_CHARS: Final = 2048  # RFC 7512 names no limit; every attribute there is has some 600
MAX_PUBLIC_KEY_CHARS: Final = 4096  # RSA-4096 in PEM has 800
MAX_PAGE: Final = 500  # items of one list answer
DEFAULT_PAGE: Final = 100
MAX_PAGE_BYTES: Final = 8 * 1024 * 1024  # of payloads: attestations may have some MB each

MAX_MANIFEST_BYTES: Final = 4 * 1024 * 1024  # OCI distribution 1.1: "SHOULD ... at least 4 MB"
MAX_BLOB_BYTES: Final = 1024 * 1024  # a signature payload has some hundred bytes
MAX_SIGSTORE_BUNDLE_BYTES: Final = 32 * 1024 * 1024  # a bill of materials in it may be large
MAX_LOOKASIDE_FILES: Final = 128  # signatures of one image; clients ask for one after the other
MAX_SIGNATURE_LAYERS: Final = 1000  # cosign reads no more of one .sig manifest
MAX_CHILDREN: Final = 100  # manifests of one index; the largest official images list some 30
MAX_INDEX_DEPTH: Final = 3  # indexes within indexes; builders make one, mirrors two
MAX_SIGNATURES_PER_REQUEST: Final = 16_000  # 1,000 images in every format, with some versions
MAX_REFERRERS_READ: Final = 100  # of one image at a verification: each costs two requests
MAX_REFERRERS: Final = 1000  # of one image: ten platforms, each attested and signed daily for weeks
MAX_REFERRER_PAGES: Final = 50  # registries list 50 to 1,000 on a page

INTENT_LEASE_SECONDS: Final = 15.0  # longer than a batch on a slow HSM needs between renewals
ORDER_LEASE_SECONDS: Final = 30.0  # longer than ATTACH_SECONDS, or two would write at once
ATTACH_SECONDS: Final = 20.0  # one delivery, all its retries included
WAIT_FOR_LOG_SECONDS: Final = 10.0  # a healthy log takes milliseconds, one that fails over seconds
WAIT_FOR_TIMESTAMPS_SECONDS: Final = 10.0  # as for the log; a healthy authority takes a second
WAIT_FOR_ATTACHMENT_SECONDS: Final = 10.0  # the contract: a signing request waits so long
IDEMPOTENCY_DAYS: Final = 7  # the contract
JOB_DAYS: Final = 7  # after its end, as long as an Idempotency-Key
JOB_LEASE_SECONDS: Final = 15.0  # how late a dead worker's job is taken over; renewed thrice in it
MAX_OPEN_JOBS: Final = 100  # of one credential; each may hold 8 MiB
MAX_ATTESTATIONS_PER_REQUEST: Final = 100  # the contract
MAX_PREDICATE_BYTES: Final = 4 * 1024 * 1024  # bills of materials of large images have some MB
MAX_PREDICATE_DEPTH: Final = 64  # the deepest of the types known here need some ten
MAX_PREDICATE_TYPE_CHARS: Final = 512  # a URI; it is an annotation of the manifest too
MAX_TIMESTAMP_QUERY_BYTES: Final = 4096  # an imprint, a nonce, a policy; no extension is known
