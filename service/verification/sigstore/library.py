"""The second opinion: sigstore-python on a keyless bundle, with the same root, without a network.

It is asked last, and what it refuses is refused. It is not asked about what it does not know, or
judges otherwise than sigstore's own conformance suite has it: entries of in-toto or DSSE 0.0.2,
keys off elliptic curves, bundles without a proof, several entries or names of Fulcio's own kind,
and times in the very last second of an authority.

It takes a second and 30 MB to import, so that it is imported where it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509

from service.verification.bundles import UnverifiedEnvelope
from service.verification.sigstore.artifacts import Artifact
from service.verification.sigstore.certificates import Identity
from service.verification.sigstore.documents import UnverifiedSigstoreBundle
from service.verification.sigstore.keys import VerifyingKey
from service.verification.sigstore.reasons import Refusal, RefusedError
from service.verification.sigstore.roots import TrustedRoot

_KNOWN: Final = frozenset({("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.2"), ("dsse", "0.0.1")})
_ROOT: Final = b"application/vnd.dev.sigstore.trustedroot+json;version=0.1"


def knows(
    bundle: UnverifiedSigstoreBundle,
    leaf: x509.Certificate,
    root: TrustedRoot,
    times: Sequence[datetime],
) -> bool:
    """Whether the library is to be asked about a bundle that we found good."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    ends = {one.valid.end for one in root.time_stampers}
    return (
        len(bundle.entries) == 1
        and (bundle.entries[0].kind, bundle.entries[0].version) in _KNOWN
        and bundle.entries[0].proof is not None
        and _ROOT in root.content
        and not names.get_values_for_type(x509.OtherName)
        and VerifyingKey.of_certificate(leaf).is_elliptic
        and not ends & set(times)
    )


def concur(
    content: bytes,
    bundle: UnverifiedSigstoreBundle,
    artifact: Artifact,
    identity: Identity,
    root: TrustedRoot,
) -> None:
    """Raises RefusedError: the library refuses the bundle."""
    # Imported here, as the module's head says.
    from sigstore import errors, models  # noqa: PLC0415
    from sigstore.hashes import Hashed  # noqa: PLC0415
    from sigstore.verify import Verifier, policy  # noqa: PLC0415
    from sigstore_models.common.v1 import HashAlgorithm  # noqa: PLC0415
    from sigstore_models.trustroot import v1  # noqa: PLC0415

    try:
        read = models.Bundle.from_json(content)
        trusted = models.TrustedRoot(v1.TrustedRoot.from_json(root.content))
        verifier = Verifier(trusted_root=trusted)
        # Its own policy of both reads the issuer's older extension alone.
        issuers: list[policy.VerificationPolicy] = [
            policy.OIDCIssuer(identity.issuer),
            policy.OIDCIssuerV2(identity.issuer),
        ]
        wanted = policy.AllOf([policy.Identity(identity=identity.name), policy.AnyOf(issuers)])
        if isinstance(bundle.content, UnverifiedEnvelope):
            verifier.verify_dsse(read, wanted)
        else:
            hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=artifact.sha256)
            verifier.verify_artifact(hashed, read, wanted)
    except (errors.Error, ValueError) as error:
        raise RefusedError(
            Refusal.LIBRARY_REFUSES, f"sigstore-python refuses it: {error}"[:500]
        ) from error
