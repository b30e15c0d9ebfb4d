"""Who performs which act of custody."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from service.domain.acts import ActKind
from service.domain.clock import Clock
from service.keyring import Keyring
from service.operations.acts import Performer
from service.operations.adopt_key import AdoptKey
from service.operations.certify_successor import CertifySuccessor
from service.operations.certify_version import CertifyVersion
from service.operations.custodians import CustodianCredentials
from service.operations.generate_key import GenerateKey
from service.operations.move_version import DestroyVersion, MoveVersion
from service.operations.own_ca import OwnCA
from service.operations.quorum import LoosenRules
from service.policy.document import Policy
from service.ports.certificates import CertificateMaker
from service.store import Store


def performers(
    store: Store,
    keyring: Keyring,
    certificates: CertificateMaker,
    clock: Clock,
    policy: Callable[[], Policy],
) -> Mapping[ActKind, Performer]:
    move = MoveVersion(store.keys, store.leases)
    ca = OwnCA(store.keys, certificates, store.certificates, store.leases, store.audit, clock)
    successors = CertifySuccessor(ca, store.certificates)
    adopt = AdoptKey(
        store.keys,
        keyring,
        store.leases,
        clock,
        successors,
        lambda: policy().custody.allow_extractable,
    )
    generate = GenerateKey(store.keys, keyring, store.leases, store.audit, clock, successors)
    return {
        ActKind.GENERATE: generate,
        ActKind.ADOPT: adopt,
        ActKind.ACTIVATE: move,
        ActKind.UNSUSPEND: move,
        ActKind.RETIRE: move,
        ActKind.DESTROY: DestroyVersion(store.keys, keyring, store.leases, store.audit),
        ActKind.CREDENTIAL: CustodianCredentials(store.credentials, clock),
        ActKind.QUORUM: LoosenRules(store.quorum),
        ActKind.CERTIFICATE_IMPORT: CertifyVersion(
            store.keys, store.certificates, certificates, ca, store.audit, clock
        ),
    }
