"""What the reasons of verdicts mean: those of `service.domain.verdicts`, and of bundles' refusals.

A reason that an error has too, such as `registry-unavailable`, is explained by that error
(`service.domain.errors`). A test holds the codes of both to this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Meaning:
    title: str
    cause: str
    cure: str


_MADE_WRONG: Final = "Have it made again by a tool that is up to date; nobody can mend it."
_TAMPERED: Final = (
    "Do not use what it is about. Ask whoever has made it, and find out who has changed it."
)
_OTHER_LOG: Final = (
    "Take the trusted root of whoever runs that log; without one the public root counts."
)

_OF_IMAGES: Final = {
    "signature-valid": Meaning(
        "The signature stands",
        "It verifies under a key or an identity that is trusted for this image.",
        "Nothing needs to be done.",
    ),
    "no-signature": Meaning(
        "The image is not signed",
        "Every place where a signature could lie has answered, and holds none.",
        "Sign the image, or ask whoever builds it to.",
    ),
    "untrusted-key": Meaning(
        "Nobody who is trusted has signed it",
        "The signature verifies under none of the keys that count for this repository, or has been "
        "changed.",
        "If it is by somebody whom you trust, name the key under `trust` in the policy file.",
    ),
    "untrusted-identity": Meaning(
        "The certificate is for somebody who is not trusted",
        "The signature comes with a certificate whose name or issuer no trust policy covers.",
        "If you do trust it, name it among the `identities` of the repository's trust policy.",
    ),
    "untrusted-certificate": Meaning(
        "No root that is trusted vouches for the certificate",
        "The certificate of the signature does not lead to a root of the repository's trust policy.",
        "If you do trust it, add its root under `notation` in the repository's trust policy.",
    ),
    "sigstore-refused": Meaning(
        "The keyless signature does not hold",
        "Its certificate, log entry, time or signature is wrong; the text names the part by a code "
        "of its own.",
        "Look that code up here.",
    ),
    "key-compromised": Meaning(
        "The key is compromised",
        "The signature verifies under a key that is known to be compromised, and nothing proves that "
        "it is older than that.",
        "Sign again with another key: `sealwright keys reissue` does so for all that stood.",
    ),
    "wrong-purpose": Meaning(
        "The key is for something else",
        "The signature is by a key of ours whose purpose is not what it was used for here.",
        "Sign images with a key of purpose `image`, and attest with one of purpose `attestation`.",
    ),
    "wrong-digest": Meaning(
        "The signature is for another image",
        "What was signed names another digest than that of the image it hangs on.",
        "Sign this image; a signature that was copied to it says nothing about it.",
    ),
    "payload-malformed": Meaning(
        "What was signed cannot be read",
        "The payload is not of the form that its format prescribes.",
        _MADE_WRONG,
    ),
    "payload-unavailable": Meaning(
        "What was signed could not be read",
        "The registry lists a signature and does not hold what it signs, or that is larger than "
        "what is read here. So it is neither good nor bad.",
        "Attach the signature again: signing again does, if it stands on record.",
    ),
    "signature-missing": Meaning(
        "There is no signature where there should be one",
        "A place for a signature is at the registry, and what it holds is no readable signature. As "
        "a finding: a signature that was attached is not listed there any more.",
        "Sign again, which attaches what stands, and delete what is of no use.",
    ),
    "manifest-malformed": Meaning(
        "The signatures' manifest cannot be read",
        "The manifest with cosign's signatures of the image is not of its form.",
        "Delete its tag (`sha256-….sig`) at the registry, and sign the image again.",
    ),
    "bundle-malformed": Meaning(
        "The bundle cannot be read",
        "It is not of the form of sigstore's bundles, or larger than any signature.",
        _MADE_WRONG,
    ),
    "envelope-malformed": Meaning(
        "The envelope cannot be read",
        "It is not of the form of notation's envelopes, or larger than any signature.",
        _MADE_WRONG,
    ),
    "certificate-chain-invalid": Meaning(
        "The certificates do not form a chain",
        "Those in the signature break a rule of the format, are not for its key, or do not lead from "
        "the signer to a root.",
        "Put a sound chain in force (`sealwright keys import-chain`), and sign again.",
    ),
    "certificate-expired": Meaning(
        "The certificate was not valid",
        "It had ended or not begun when the signature was made, or nothing proves when that was.",
        "Sign again with a valid certificate; a time stamp keeps signatures good beyond its end.",
    ),
    "signature-expired": Meaning(
        "The signature has expired",
        "Its signer has given it an end, and that has passed.",
        "Sign the image again.",
    ),
    "too-many-referrers": Meaning(
        "More refers to the image than is looked at",
        "Its registry lists more manifests about it than are read, so that a signature may have been "
        "passed over.",
        "Delete referrers that nobody needs.",
    ),
    "fallback-index-malformed": Meaning(
        "The list of what refers to the image cannot be read",
        "The registry has no referrers API, and the tag that stands for it holds something else.",
        "Delete the tag (`sha256-…`) at the registry, and sign the image again.",
    ),
    "child-not-verified": Meaning(
        "An image of the index is not verified",
        "The index was asked for with all its images, and one of them has another verdict.",
        "See `children` for each one's reasons; `recursive` signs them with the index.",
    ),
    "identity-differs": Meaning(
        "The signature names another repository",
        "It stands, and claims a name under which the image does not lie here: clients that compare "
        "names refuse it.",
        "Sign with the `identity` that clients expect, or have them expect the one that it claims.",
    ),
    "foreign-bundle": Meaning(
        "Somebody else's bundle hides a signature of ours",
        "The image carries bundles, and none by the key whose `.sig` signature stands: cosign 2.6 and "
        "3 look at bundles alone then.",
        "Sign the image again in the formats `cosign` and `bundle`.",
    ),
    "dead-referrer": Meaning(
        "A referrer is listed and gone",
        "The list of what refers to the image names manifests that the registry does not hold: "
        "notation gives up there.",
        "Sign the image again: what is gone is left out when the list is written.",
    ),
    "malformed-notation-signature": Meaning(
        "Something that is no signature stands before one of notation's",
        "notation stops at the first manifest of its type that it cannot read.",
        "Delete the manifest that the text names at the registry.",
    ),
    "attestation-by-image-key": Meaning(
        "An attestation is signed by a key for images",
        "cosign takes it for a signature of the image.",
        "Attest with a key of purpose `attestation`, and delete the manifest that the text names.",
    ),
}

_OF_BUNDLES: Final = {
    "trusted-root-malformed": Meaning(
        "The trusted root cannot be read",
        "The file is not of the form of sigstore's trusted roots.",
        "Fetch it again: `sealwright trust export`, or `GET /v1/trust/trusted-root`.",
    ),
    "key-malformed": Meaning(
        "The key cannot be read",
        "It is no public key in PEM, or of a kind that bundles are not signed with.",
        "Give the public key as PEM, as `sealwright keys public-key` prints it.",
    ),
    "key-not-given": Meaning(
        "The bundle is signed by a key, and none was given",
        "It holds no certificate, so that an identity says nothing about it.",
        "Give `--key`, and no identity.",
    ),
    "identity-not-given": Meaning(
        "The bundle is signed by an identity, and none was given",
        "It holds a certificate instead of naming a key.",
        "Give `--certificate-identity` and `--certificate-oidc-issuer`, and no key.",
    ),
    "certificate-malformed": Meaning(
        "A certificate of the bundle cannot be read",
        "It is no certificate, or has a key that bundles are not signed with.",
        _MADE_WRONG,
    ),
    "certificate-root-included": Meaning(
        "The bundle brings a root along",
        "Roots come from whoever verifies; a bundle that has one breaks sigstore's rules.",
        _MADE_WRONG,
    ),
    "certificate-untrusted": Meaning(
        "No authority that is trusted vouches for the certificate",
        "The trusted root has no certificate authority that has issued it and was valid then.",
        "Take the trusted root of whoever runs the authority, if you trust it.",
    ),
    "certificate-usage": Meaning(
        "The certificate is not for signing code",
        "It lacks the key usage digitalSignature, or the extended one codeSigning.",
        "Have a certificate issued for code signing, and sign again.",
    ),
    "certificate-timestamp-missing": Meaning(
        "No certificate-transparency log has seen the certificate",
        "It holds no signed certificate timestamp (RFC 6962).",
        "Have a certificate issued by an authority that logs what it issues, and sign again.",
    ),
    "certificate-timestamp-untrusted": Meaning(
        "The certificate-transparency log is not trusted",
        "The trusted root does not know the log that has stamped the certificate, or not for then.",
        "Take a trusted root that is up to date.",
    ),
    "certificate-timestamp-invalid": Meaning(
        "The certificate's timestamp is wrong",
        "The log that it names has not signed it, or there is not exactly one.",
        _TAMPERED,
    ),
    "identity-mismatched": Meaning(
        "The certificate is for somebody else",
        "None of its names is the identity that was asked for.",
        "If the identity that it names is the right one, ask for that.",
    ),
    "issuer-mismatched": Meaning(
        "Somebody else vouches for the identity",
        "The certificate names another OIDC issuer than the one that was asked for.",
        "If the issuer that it names is the right one, ask for that.",
    ),
    "log-entry-missing": Meaning(
        "The signature comes without a log entry",
        "A bundle needs an entry of a transparency log, and this one has none.",
        "Sign again with a transparency log.",
    ),
    "log-entry-malformed": Meaning(
        "The log entry cannot be read",
        "Its body is not of the kind and version that it names, or of one that is not known here.",
        _MADE_WRONG,
    ),
    "log-entry-mismatched": Meaning(
        "The log entry is about something else",
        "Its body names another signature, key or digest than the bundle holds.",
        _TAMPERED,
    ),
    "log-untrusted": Meaning(
        "The log is not trusted",
        "The trusted root knows no log with the key that the entry names.",
        _OTHER_LOG,
    ),
    "log-key-out-of-time": Meaning(
        "The log's key was not trusted then",
        "The trusted root limits the time for which the key counts, and the entry is outside it.",
        "Take a trusted root that is up to date.",
    ),
    "promise-missing": Meaning(
        "The log's promise is missing",
        "A bundle of version 0.1 needs a signed entry timestamp.",
        _MADE_WRONG,
    ),
    "promise-invalid": Meaning(
        "The log's promise is wrong",
        "The signed entry timestamp is not by the log, or not for this entry.",
        _TAMPERED,
    ),
    "inclusion-proof-missing": Meaning(
        "There is no proof that the log holds the entry",
        "The bundle has no inclusion proof, or one without a checkpoint.",
        _MADE_WRONG,
    ),
    "inclusion-proof-invalid": Meaning(
        "The proof of inclusion is wrong",
        "It does not lead from the entry to the root that it names.",
        _TAMPERED,
    ),
    "checkpoint-malformed": Meaning(
        "The checkpoint cannot be read",
        "It is not of the form of a log's signed notes.",
        _MADE_WRONG,
    ),
    "checkpoint-untrusted": Meaning(
        "The checkpoint is not by the entry's log",
        "None of its signatures names the log in which the entry stands.",
        _OTHER_LOG,
    ),
    "checkpoint-invalid": Meaning(
        "The checkpoint's signature is wrong",
        "It names the log's key, and does not verify under it.",
        _TAMPERED,
    ),
    "checkpoint-mismatched": Meaning(
        "The checkpoint is of another tree",
        "Its size or its root is not that of the inclusion proof.",
        _MADE_WRONG,
    ),
    "time-missing": Meaning(
        "Nothing proves when it was signed",
        "A certificate is valid for a short time, and neither a log nor an authority tells when the "
        "signature was made.",
        "Sign again with a log that promises a time, or with a time stamp.",
    ),
    "timestamp-malformed": Meaning(
        "A time stamp cannot be read",
        "It is no answer of a time-stamping authority (RFC 3161).",
        _MADE_WRONG,
    ),
    "timestamp-mismatched": Meaning(
        "A time stamp is of another signature",
        "What it has stamped is not the signature of the bundle.",
        _TAMPERED,
    ),
    "timestamp-untrusted": Meaning(
        "The time-stamping authority is not trusted",
        "The trusted root names no authority that has signed the time stamp and was valid then.",
        "Take the trusted root of whoever runs the authority, if you trust it.",
    ),
    "timestamp-out-of-time": Meaning(
        "The time-stamping authority was not trusted then",
        "The trusted root limits the time for which it counts, and the time stamp is outside it.",
        "Take a trusted root that is up to date.",
    ),
    "signature-invalid": Meaning(
        "The signature is wrong",
        "It does not verify under the key over what it is said to be over.",
        "Check that key, file and bundle belong together; if they do, somebody has changed one.",
    ),
    "digest-mismatched": Meaning(
        "The bundle is about another file",
        "The digest that it signs, or each one that its statement names, is that of something else.",
        "Check that file and bundle belong together.",
    ),
    "content-needed": Meaning(
        "A digest is not enough",
        "What the signature is over can be told from the file itself alone: it uses another hash.",
        "Give the file instead of its digest.",
    ),
    "payload-type-unknown": Meaning(
        "The envelope holds something that is not known here",
        "Its payload type is not that of in-toto statements.",
        "Check it with the tool that it was made for.",
    ),
    "statement-malformed": Meaning(
        "The statement cannot be read",
        "The envelope's payload is no in-toto statement.",
        _MADE_WRONG,
    ),
    "predicate-malformed": Meaning(
        "The statement's predicate cannot be read",
        "It has no type, or is not an object.",
        _MADE_WRONG,
    ),
    "library-refuses": Meaning(
        "sigstore-python refuses the bundle",
        "Our own checks have passed, and the second opinion has not; the text is the library's.",
        "Trust the refusal, and report the bundle: one of the two is wrong.",
    ),
}

MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType({**_OF_IMAGES, **_OF_BUNDLES})
