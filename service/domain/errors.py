"""Every failure that Sealwright reports on purpose: one tree, one table.

`code` is API: clients branch on it, so it never changes once released. `str(error)` is
safe to show a caller; details for the operator go to the log, through `raise ... from`.
`cause` and `cure` are what `/problems/{code}` and `sealwright explain CODE` print.
HTTP statuses stand in `service.web.problems`, exit codes in `service.cli.exits`; tests
prove that both tables are complete.

"Wrong" and "could not check" are different classes everywhere: what could not be checked
is `retryable`, and never turns into a no.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final


class ServiceError(Exception):
    """Base of all expected failures; anything else is a bug and becomes a 500.

    Attributes:
        retry_after: seconds after which a retry makes sense; None where it never does,
            or where no better figure than the default of the edge is known.
    Whoever raises one without a `detail` knows no more than `cause` says.
    """

    code: ClassVar[str]
    title: ClassVar[str]
    cause: ClassVar[str]
    cure: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail or self.cause)
        self.retry_after = retry_after


# --- who is asking, and may they ------------------------------------------------------


class UnauthenticatedError(ServiceError):
    code = "unauthenticated"
    title = "A valid credential is needed"
    cause = "The request has no bearer token, or one that is unknown, expired or revoked."
    cure = (
        "Send `Authorization: Bearer <token>` (the command line reads the file named by "
        "SEALWRIGHT_TOKEN_FILE). An admin makes a credential with `sealwright credentials create`."
    )


class ForbiddenError(ServiceError):
    """`reasons` names every rule that refused."""

    code = "forbidden"
    title = "The credential does not allow this"
    cause = "The caller's role, its repositories or its keys do not include what was asked for."
    cure = "Use a credential made for this work, or ask an admin to make one that covers it."

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class PolicyDeniedError(ServiceError):
    """`reasons` names every rule that refused."""

    code = "policy-denied"
    title = "The signing policy refuses this"
    cause = (
        "A rule of the signing policy, or the absence of one that allows it, refused the request."
    )
    cure = "Read the reasons; change the request, or have the policy file changed and reloaded."

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


# --- what was asked ---------------------------------------------------------------------


class InvalidRequestError(ServiceError):
    """`errors` maps a field to what is wrong with it; the text names the first of them.

    Who reads a log or a terminal sees nothing but the text.
    """

    code = "invalid-request"
    title = "The request does not fit its schema"
    cause = "A field is missing, unknown, of the wrong type or outside its limits."
    cure = "Mend the fields named in `errors`; `/docs` shows the schema."

    def __init__(self, detail: str = "", *, errors: Mapping[str, object] | None = None) -> None:
        self.errors = dict(errors or {})
        super().__init__(": ".join(filter(None, (detail, _in_words(self.errors, detail)))))


FAULTS_IN_WORDS: Final = 3
MAX_FIELD_CHARS: Final = 100  # callers make up fields of any length
MAX_FAULT_CHARS: Final = 200


def _in_words(faults: Mapping[str, object], said: str) -> str:
    """Return the first faults that have not been said already."""
    found = [f"{field}: {fault}" for field, fault in _flat(faults, ()) if fault not in said]
    left = len(found) - FAULTS_IN_WORDS
    more = [f"and {left} more"] if left > 0 else []
    return "; ".join([*found[:FAULTS_IN_WORDS], *more])


def _flat(faults: object, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    match faults:
        case dict():
            for name, inner in faults.items():
                yield from _flat(inner, (*path, str(name)))
        case list() | tuple():
            for inner in faults:
                yield from _flat(inner, path)
        case _:
            yield ".".join(path)[:MAX_FIELD_CHARS], str(faults).rstrip(".")[:MAX_FAULT_CHARS]


class MalformedBodyError(ServiceError):
    code = "malformed-body"
    title = "The body is not JSON"
    cause = "The request body could not be read as one JSON object in UTF-8."
    cure = "Send `Content-Type: application/json` and a JSON object."


class BodyTooLargeError(ServiceError):
    code = "body-too-large"
    title = "The body is too large"
    cause = "The request body is larger than the service accepts."
    cure = "Send fewer items in one request."


class UnsupportedMediaTypeError(ServiceError):
    code = "unsupported-media-type"
    title = "The media type is not supported"
    cause = "The request body has a media type that this call does not know."
    cure = "Send the body as `application/json` and say so in Content-Type."


class NotAcceptableError(ServiceError):
    code = "not-acceptable"
    title = "The answer has no such form"
    cause = "None of the media types that Accept asks for is one that this call can answer with."
    cure = "Ask for one of the types that the documentation of the call names, or leave Accept out."


class RateLimitedError(ServiceError):
    code = "rate-limited"
    title = "Too many requests"
    cause = (
        "A credential, or an address where a call needs none, calls more often than the section "
        "`rate_limits` of the policy file allows."
    )
    cure = "Wait for as long as Retry-After says."
    retryable = True


class NotFoundError(ServiceError):
    code = "not-found"
    title = "There is no such thing"
    cause = "The path or the identifier names nothing, or nothing that this caller may see."
    cure = "Check the path against `/docs`, and the identifier against the list it came from."


class NotServedHereError(ServiceError):
    code = "not-served-here"
    title = "This process has another role"
    cause = "The call is served by processes of another role than those of this one (`--roles`)."
    cure = (
        "Send it to a server of the role that the detail names; the load balancer in front of "
        "several roles has to tell their paths apart (docs/operations.md)."
    )


class MethodNotAllowedError(ServiceError):
    code = "method-not-allowed"
    title = "The method is not allowed here"
    cause = "The path exists, but not with this HTTP method."
    cure = "See `/docs` for the methods of this path."


class InvalidReferenceError(ServiceError):
    code = "invalid-reference"
    title = "The image reference cannot be read"
    cause = "The reference is not of the form host/repository[:tag][@sha256:digest]."
    cure = "Name the image as a container client would, with a digest wherever you can."


class TagDigestMismatchError(ServiceError):
    code = "tag-digest-mismatch"
    title = "The tag points to another digest"
    cause = "The reference has a tag and a digest, and at the registry the tag points elsewhere."
    cure = (
        "Find out who moved the tag. Sign the digest that you built, not whatever the tag says now."
    )


class ImageNotFoundError(ServiceError):
    code = "image-not-found"
    title = "The registry does not hold the image"
    cause = "The registry answered, and it has no manifest under this tag or digest."
    cure = "Push the image first, or correct the reference."


class DescriptorMismatchError(ServiceError):
    code = "descriptor-mismatch"
    title = "The descriptor does not fit the image"
    cause = "The size or media type that the request gives differ from what the registry holds."
    cure = "Leave the descriptor out, or send the one that the push returned."


class UnsupportedFormatError(ServiceError):
    code = "unsupported-format"
    title = "The signature format cannot be made"
    cause = "The format is unknown, or its verifiers do not accept signatures by this kind of key."
    cure = (
        "Ask for another format, or sign with a key of another algorithm; P-256 fits all of them."
    )


class PayloadNotSignableError(ServiceError):
    code = "payload-not-signable"
    title = "These bytes are not signed"
    cause = (
        "What a plug-in hands over must be cosign's simple signing, the encoding of an in-toto "
        "statement, or what a Notary Project envelope signs, about exactly one sha256 digest. "
        "There is no call that signs anything else."
    )
    cure = "Sign with a tool that makes one of these; `POST /v1/signatures` signs images by itself."


class PredicateNotAllowedError(ServiceError):
    code = "predicate-not-allowed"
    title = "A key of this purpose does not sign this"
    cause = (
        "Keys of purpose `image` sign images and nothing else, keys of purpose `attestation` every "
        "other statement: cosign takes any statement by a key for a signature of the image."
    )
    cure = "Use a key of the other purpose; `sealwright keys list` shows what each is for."


class InvalidPredicateError(ServiceError):
    """`errors` maps a place in the predicate to what is wrong there."""

    code = "invalid-predicate"
    title = "The predicate cannot be attested"
    cause = (
        "The predicate is not what its type says (a provenance, a bill of materials, a scan "
        "report), or it is too large, too deep, or holds numbers that readers would change."
    )
    cure = (
        "Mend the places named in `errors`, or name the type that the predicate has. Types that "
        "the service does not know are attested without a look at the content."
    )

    def __init__(self, detail: str = "", *, errors: Mapping[str, object] | None = None) -> None:
        super().__init__(detail)
        self.errors = dict(errors or {})


class MadeByAnotherToolError(ServiceError):
    code = "made-by-another-tool"
    title = "Only the tool that made it can have it signed again"
    cause = (
        "The image was signed through a plug-in of cosign or notation, which made the payload and "
        "pushed the signature: the service has neither, and may not know the repository."
    )
    cure = "Sign the image again with that tool, or with `sealwright sign`."


class IndexNotFollowedError(ServiceError):
    code = "index-not-followed"
    title = "The manifests of the index cannot all be reached"
    cause = (
        "With `recursive` every manifest of an index is dealt with. This one is malformed, lists "
        "over 100 manifests, or holds indexes over three deep."
    )
    cure = "Sign its manifests by their own digests, or build an index that clients can follow."


class IdempotencyKeyReusedError(ServiceError):
    code = "idempotency-key-reused"
    title = "The Idempotency-Key belongs to another request"
    cause = "This credential has used the same Idempotency-Key with a different body in the last 7 days."
    cure = "Use a new key for each different request, and the same key only to retry the same one."


class RequestInProgressError(ServiceError):
    code = "request-in-progress"
    title = "The first request with this Idempotency-Key is still running"
    cause = "The request was sent again before the first one had ended."
    cure = (
        "Wait for as long as Retry-After says and send it again: it gets the first one's results."
    )
    retryable = True


# --- keys -------------------------------------------------------------------------------


class KeyNotFoundError(ServiceError):
    code = "key-not-found"
    title = "There is no such key"
    cause = "No key, or no version of it, has this name or number."
    cure = "`sealwright keys list` shows the keys."


class KeyExistsError(ServiceError):
    code = "key-exists"
    title = "A key of this name exists"
    cause = "Names of keys are given once and for all."
    cure = "Choose another name, or make a new version of the existing key."


class KeyNotNamedError(ServiceError):
    code = "key-not-named"
    title = "The request must name a key"
    cause = "The credential covers more than one key that fits, so the service does not choose."
    cure = "Put one of the keys that the detail names into the request, as `key` (`--key`)."


class KeyNotUsableError(ServiceError):
    code = "key-not-usable"
    title = "The key does not sign"
    cause = "The key has no active version, or its purpose is not the one that this call needs."
    cure = "Use a key of the right purpose with an active version; a custodian can activate one."


class KeyMoveForbiddenError(ServiceError):
    """`allowed` are the states that the version can get into from where it is."""

    code = "key-move-forbidden"
    title = "The key version cannot get into this state"
    cause = (
        "The table of states does not lead there: staged, active, retired, destroyed; active and "
        "suspended back and forth; compromised from each of them, and nothing from destroyed."
    )
    cure = "`allowed` names the states that are possible; a new version begins a new life."

    def __init__(self, detail: str = "", *, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.allowed = allowed


class PublicKeyTakenError(ServiceError):
    code = "public-key-taken"
    title = "The key pair is in use under another name or number"
    cause = "One public key is one version of one key, and a place on a token holds one version."
    cure = "Find it in `sealwright keys list`; make a key pair of its own for each use."


class LogKeyMissingError(ServiceError):
    code = "log-key-missing"
    title = "There is no active log key"
    cause = "The list of withdrawals is signed by the active key of purpose `log`, and none is."
    cure = "A custodian makes one with `sealwright keys create log --purpose log`, or activates it."


class TimestampKeyMissingError(ServiceError):
    code = "timestamp-key-missing"
    title = "There is no key that can stamp time"
    cause = (
        "No key of purpose `timestamp` has an active version with a certificate chain that holds "
        "now."
    )
    cure = (
        "A custodian makes one with `sealwright keys create tsa --purpose timestamp` and "
        "`sealwright keys self-sign tsa`, or imports a chain."
    )


class TimestampUnavailableError(ServiceError):
    code = "timestamp-unavailable"
    title = "No time stamp could be had"
    cause = (
        "Signatures of this key are to carry a time stamp (RFC 3161), and no authority has given "
        "one in time. Nothing leaves without it."
    )
    cure = (
        "Retry after Retry-After: what was signed is on record and will be answered with its "
        "stamp. `detail` names each authority and what it said; see docs/timestamps.md."
    )
    retryable = True


class CertificateNotFoundError(ServiceError):
    code = "certificate-not-found"
    title = "The key version has no certificate"
    cause = "Nobody has certified this version of the key yet, and it has not certified itself."
    cure = (
        "Have a CA certify it (`sealwright keys csr`, then `sealwright keys import-chain`), or let "
        "Sealwright do it (`sealwright keys self-sign`)."
    )


class CertificateChainRefusedError(ServiceError):
    """`reasons` names every rule that the chain breaks, each with the code of the rule."""

    code = "certificate-chain-refused"
    title = "The certificate chain cannot be used"
    cause = (
        "Verifiers would refuse signatures with this chain: it is not whole, a certificate in it "
        "breaks a rule of the Notary Project or of RFC 3161, or it is for another key."
    )
    cure = (
        "Read the reasons. Send every certificate from the leaf to the self-signed root, in this "
        "order; what is wrong in a certificate itself, its CA must issue anew."
    )

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class CertificateSubjectTakenError(ServiceError):
    code = "certificate-subject-taken"
    title = "Verifiers could not tell the subject from another version's"
    cause = (
        "A certificate of another key version, now or before, has the same subject, or one of the "
        "two has every attribute of the other. A verifier that trusts the one would trust both."
    )
    cure = "Have the certificate issued for a subject of its own, with the version in its name."


class CertificateAuthorityNotUsableError(ServiceError):
    code = "certificate-authority-not-usable"
    title = "Our own CA cannot certify"
    cause = "Its key has no active version, or its certificate ends too soon."
    cure = (
        "`sealwright keys show own-ca` tells its state. Unsuspend it, or rotate it (`sealwright "
        "keys rotate own-ca`), and have verifiers trust the new root."
    )


class UnsupportedAlgorithmError(ServiceError):
    code = "unsupported-algorithm"
    title = "The algorithm is not supported"
    cause = (
        "The token has no mechanism for this algorithm, or it does not fit the purpose of the key."
    )
    cure = "Choose another algorithm, or another token; `ec-p256` works everywhere."


class KeyUnprotectedError(ServiceError):
    code = "key-unprotected"
    title = "The key could leave its token"
    cause = "The token says that the private key is extractable or not sensitive, or does not say."
    cure = (
        "Use a token that makes keys which cannot leave it. A key that others made can be "
        "adopted in spite of that only where the policy allows it."
    )


class KeyNotAdoptableError(ServiceError):
    code = "key-not-adoptable"
    title = "The key on the token cannot be adopted"
    cause = (
        "The token holds no private key that fits the URI, or the one it holds does not belong to "
        "the public key, cannot be found again by its CKA_ID, or does not sign as it must."
    )
    cure = (
        "Compare the URI with what `pkcs11-tool --list-objects --type privkey` or `p11tool "
        "--list-privkeys` shows of the token, and send the public key that belongs to it."
    )


class TokenNotFoundError(ServiceError):
    code = "token-not-found"
    title = "No configured token has this label"
    cause = "The request names a token that is not among those the service is configured with."
    cure = (
        "`GET /v1/slots` names the tokens; SEALWRIGHT_TOKENS_FILE, or SEALWRIGHT_TOKEN_LABEL "
        "where there is one, configures them."
    )


# --- the HSM ------------------------------------------------------------------------------


class HSMUnavailableError(ServiceError):
    code = "hsm-unavailable"
    title = "The HSM cannot be reached"
    cause = (
        "The module, the token or the connection to it failed, and repeated attempts did not help."
    )
    cure = "Retry after Retry-After. `sealwright doctor` tells the operator which part is away."
    retryable = True


class HSMRefusedError(ServiceError):
    code = "hsm-refused"
    title = "The HSM refuses what it should be able to do"
    cause = (
        "The token refused a mechanism that fits the key, or that it lists as its own, and did so "
        "again on another session and after another login."
    )
    cure = (
        "Retry after Retry-After. If it persists, the key on the token is restricted or is another "
        "one, or a policy of the HSM (FIPS mode) forbids the mechanism: `sealwright slots check` "
        "tells what the module does, the HSM's own log says why."
    )
    retryable = True


class HSMQuarantinedError(ServiceError):
    code = "hsm-quarantined"
    title = "The HSM does not come back from calls, and is left alone until it does"
    cause = (
        "A call to the HSM's module did not return within SEALWRIGHT_HSM_CALL_SECONDS. The process "
        "that was stuck in it was replaced, and no process calls the module until a probe, in "
        "a process of its own, has come back from it. Everything else is served meanwhile."
    )
    cure = (
        "Retry after Retry-After. Operators: nothing needs a restart, the quarantine is lifted "
        "within a second of the HSM's return. Look at the HSM, the network to it and the vendor's "
        "client daemon: `sealwright doctor` and `pkcs11-tool --module PATH -L` hang as long as it "
        "is frozen. If `sealwright_hsm_watchdog_ends_total` grows while the HSM answers, it is "
        "only slow: raise SEALWRIGHT_HSM_CALL_SECONDS."
    )
    retryable = True


class PINRefusedError(ServiceError):
    """Fatal by design: each further try could lock the token for good."""

    code = "pin-refused"
    title = "The token refused the PIN"
    cause = (
        "The PIN in the PIN file was refused once. It is latched: no worker tries it again, "
        "because tokens lock themselves after a few wrong tries."
    )
    cure = (
        "Put the right PIN into the PIN file (a changed PIN gets its own single try), or let a "
        "custodian call POST /v1/slots/{token}/login, which tries the same PIN exactly once more."
    )


class KeyMissingOnTokenError(ServiceError):
    code = "key-missing-on-token"
    title = "The token does not hold the key"
    cause = "The token answers and is logged in, but the private key with this CKA_ID is not on it."
    cure = "Check that the right token is in the slot; restore the key from the HSM's own backup."


class SignatureCheckFailedError(ServiceError):
    code = "signature-check-failed"
    title = "The HSM returned a signature that does not verify"
    cause = "Each signature is checked in software against the pinned public key; this one failed and was discarded."
    cure = "Retry. If it persists, stop using the token and compare its keys with the pinned ones."
    retryable = True


# --- registries -----------------------------------------------------------------------------


class RegistryNotConfiguredError(ServiceError):
    code = "registry-not-configured"
    title = "This registry is not configured"
    cause = "Only registries in the registries file are ever contacted."
    cure = (
        "Add the host to the file named by SEALWRIGHT_REGISTRIES_FILE; it is read again by itself."
    )


class RegistryUnavailableError(ServiceError):
    """The registry gave no answer that can be relied on: could not check, not "no"."""

    code = "registry-unavailable"
    title = "The registry did not answer"
    cause = (
        "Silence, a time-out, 429, a 5xx, a truncated or malformed answer, or a redirect elsewhere."
    )
    cure = "Retry after Retry-After; look at the registry and at what stands between."
    retryable = True


class RegistryDeniedError(ServiceError):
    """The registry answered 401 or 403: could not check, not "no"."""

    code = "registry-denied"
    title = "The registry refused the service's credentials"
    cause = "The registry answered 401 or 403 to the credentials in the registries file."
    cure = "Give the service's account at the registry the right to read, and to push where it attaches."


class RegistryRefusedError(ServiceError):
    """The registry answered a write with a 4xx that a retry will not change."""

    code = "registry-refused"
    title = "The registry refused the content"
    cause = "The registry answered a write with a client error: immutable tag, quota, or a refused media type."
    cure = "Read the registry's message in the detail; allow signature tags there."


class AttachConflictError(ServiceError):
    code = "attach-conflict"
    title = "Other writers kept overwriting the signatures"
    cause = "Somebody else wrote the same signature tag at the same time, again and again."
    cure = "Nothing: the order stays in the outbox and is tried again. Find the other writer if it persists."
    retryable = True


# --- approvals ------------------------------------------------------------------------------


class ApprovalNotPendingError(ServiceError):
    code = "approval-not-pending"
    title = "The approval is not pending any more"
    cause = "It was executed, rejected, has failed or expired, or is being executed right now."
    cure = (
        "`sealwright approvals show ID` tells what became of it. Where the act is still wanted, "
        "ask for it anew."
    )


class AlreadyApprovedError(ServiceError):
    code = "already-approved"
    title = "This person has approved it already"
    cause = "A quorum counts people: a second approval of one person adds nothing, with whichever credential."
    cure = "Another custodian must approve it; `sealwright approvals show ID` tells how many are missing."


class ApprovalStaleError(ServiceError):
    """The act was not done, and this request is at its end."""

    code = "approval-stale"
    title = "What was approved is not what would happen now"
    cause = (
        "An approval is bound to the state in which it was asked for. Since then the state that "
        "the act depends on has changed, or the quorum rule has become tighter."
    )
    cure = "Look at the subject as it is now, and ask for the act anew if it is still wanted."


class ApproverInvalidError(ServiceError):
    """The act was not done, and this request is at its end."""

    code = "approver-invalid"
    title = "Somebody who counted for the quorum does not count any more"
    cause = (
        "The credential of the requester or of an approver was revoked, has expired, or has "
        "another role or person than when it was used."
    )
    cure = "Ask for the act anew, and have it approved with credentials that are valid."


class ApprovalInterruptedError(ServiceError):
    """Only ever found on record: nobody is left to be told."""

    code = "approval-interrupted"
    title = "Nobody knows whether the approved act was done"
    cause = "The process that performed the act ended, or lost the store, before it could record the outcome."
    cure = "Look at the subject and at the audit events: they tell. Ask anew if it was not done."


class ApprovalSignatureRequiredError(ServiceError):
    code = "approval-signature-required"
    title = "This approval needs a signature by your own SSH key"
    cause = "The quorum rules say `signed: true`, and the approval came without a signature."
    cure = "`sealwright approvals approve ID --ssh-key FILE` signs it and sends it along."


class ApprovalSignatureInvalidError(ServiceError):
    code = "approval-signature-invalid"
    title = "The SSH signature does not hold"
    cause = (
        "It is not a signature in OpenSSH's armored form, by the key of the credential, over the "
        "exact document, and in the namespace of this answer."
    )
    cure = (
        "Sign what `sealwright approvals document ID` prints, with the key that is registered for "
        "your credential; `--ssh-key FILE` does all of it."
    )


class SSHKeyMissingError(ServiceError):
    """The signature could not be checked, which is not the same as a wrong one."""

    code = "ssh-key-missing"
    title = "No SSH key is registered for this credential"
    cause = "An approval came with a signature, and there is no key to check it against."
    cure = "An admin registers it: `sealwright credentials change NAME --ssh-public-key FILE`."


class NothingToLoosenError(ServiceError):
    code = "nothing-to-loosen"
    title = "The policy file asks for nothing looser"
    cause = (
        "The quorum rules in force are already those of the policy file, as this process reads it."
    )
    cure = (
        "Change `quorum` in the policy file first; `sealwright policy show` tells how it compares."
    )


# --- the record -----------------------------------------------------------------------------


class StoreUnavailableError(ServiceError):
    code = "store-unavailable"
    title = "The store cannot be written or read"
    cause = "The database did not answer, is locked, full, or not migrated. Without a record no signature leaves."
    cure = "Retry after Retry-After. `sealwright doctor` names the fault; `sealwright db upgrade` migrates."
    retryable = True


class SchemaUnsupportedError(StoreUnavailableError):
    code = "schema-unsupported"
    title = "The database has a schema with which this program does not work"
    cause = (
        "The database is not migrated, or not far enough, or so far that only newer programs "
        "work with it (`sealwright db status`)."
    )
    cure = (
        "Where the schema is the older one, `sealwright db upgrade`. Where it is the newer one, "
        "run the version that migrated it, or any since the one that `db status` names: a schema "
        "never goes back (docs/operations.md, Roll back)."
    )


class LogUnavailableError(ServiceError):
    code = "log-unavailable"
    title = "The transparency log cannot be extended"
    cause = (
        "The key that signs the log is away or not active, or the checkpoint that covers the new "
        "entries did not come in time. Nothing leaves unlogged, so signing has stopped."
    )
    cure = (
        "Retry after Retry-After: what was signed is on record and will be answered with its "
        "proof. `sealwright doctor` names the fault; a key of purpose `log` needs an active version."
    )
    retryable = True


class LogRolledBackError(ServiceError):
    """Signing on would fork the log: a person has to decide."""

    code = "log-rolled-back"
    title = "The store is older than the log that has been published"
    cause = (
        "A checkpoint that has been published is not contained in the store: it was put back to "
        "an older state. A log that went on from here would sign two trees of one size."
    )
    cure = (
        "Put the newest backup in place, or let `sealwright log recover` bring back what is "
        "missing, or close this log and begin a new one."
    )


class LeaseLostError(ServiceError):
    code = "lease-lost"
    title = "The request took too long and lost its lease"
    cause = "The intent's lease ran out, or the key stopped being active, before the outcome could be recorded."
    cure = "Send the request again: the unrecorded signature was discarded unseen."
    retryable = True


class MaintenanceError(ServiceError):
    code = "maintenance"
    title = "The service is being maintained"
    cause = "An admin has stopped signing (`sealwright maintenance on`). Verification goes on."
    cure = "Retry after Retry-After; an admin lets signing go on by `sealwright maintenance off`."
    retryable = True


class RecordDamagedError(ServiceError):
    code = "record-damaged"
    title = "A signature on record does not verify"
    cause = "The database holds something else than what was committed: it was changed past us."
    cure = "Hold the database against the log (`sealwright log verify --store`), and put a backup back."


class TooManyJobsError(ServiceError):
    code = "too-many-jobs"
    title = "The credential has as many jobs under way as it may have"
    cause = "Jobs were asked for faster than they are done, or they wait for a part that is away."
    cure = "Wait until some have ended (`GET /v1/signature-jobs/{id}`) and send the request again."
    retryable = True


class BusyError(ServiceError):
    code = "busy"
    title = "Somebody else is doing the same thing"
    cause = "Another request holds the lease for this name."
    cure = "Retry after Retry-After."
    retryable = True


class CredentialExistsError(ServiceError):
    code = "credential-exists"
    title = "A credential of this name exists"
    cause = "Names of credentials are unique, revoked ones included."
    cure = "Choose another name."


class AdminExistsError(ServiceError):
    code = "admin-exists"
    title = "An admin exists already"
    cause = "`credentials create --first` works only while the store holds no admin."
    cure = "Use the admin's credential over the API, as for every other change."


class ConfigurationError(ServiceError):
    """`faults` lists everything that is wrong with the settings or a configuration file."""

    code = "invalid-configuration"
    title = "The configuration is wrong"
    cause = "A setting or a configuration file is missing, unreadable, or says something that cannot be."
    cure = (
        "Mend each fault that the message lists; `sealwright config check` checks without starting."
    )

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class InternalError(ServiceError):
    """What a bug looks like from outside; the log has the cause under the request id."""

    code = "internal"
    title = "Something unforeseen happened"
    cause = "A bug. The log holds the details under the request id; the answer shows none of them."
    cure = "Report it with the request id. A retry is safe: nothing leaves without its record."


def every_error(base: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    """Yield every class of the tree that has a code, in the order of definition."""
    for kind in base.__subclasses__():
        if "code" in kind.__dict__:
            yield kind
        yield from every_error(kind)


def by_code(code: str) -> type[ServiceError] | None:
    return next((kind for kind in every_error() if kind.code == code), None)
