"""Puts the service together for a process that answers requests or delivers orders.

Nothing here connects, loads a module or starts a thread: that happens at first use, in the
process that uses it, so that a gunicorn master never touches PKCS#11 or the database. Only the
files that this process counts in are made at once.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from service.authority import HSMCertificateMaker
from service.bootstrap.acts import performers
from service.bootstrap.ending import end_this_process
from service.bootstrap.formats import (
    payload_forms,
    recorded_formats,
    registry_attachers,
    signature_finders,
    signature_formats,
)
from service.bootstrap.log import build_log, build_witnessing
from service.bootstrap.policy_file import PolicyFile
from service.bootstrap.secrets import own_secret
from service.bootstrap.settings import Settings, name_metrics_directory
from service.bootstrap.timestamps import (
    build_proofs,
    build_stamping,
    others,
    timestamp_config,
)
from service.bootstrap.tokens_file import TokenSettings
from service.domain.clock import Clock, SystemClock
from service.domain.errors import ConfigurationError
from service.domain.jobs import JobKind
from service.domain.serving import reach_hsm
from service.formats.attestation import AttestationFormat
from service.formats.payloads import PAYLOAD_FORMS
from service.identity import TokenAuthenticator
from service.keyring import Keyring, TokenConfig, Vigilance
from service.metrics import PrometheusMeter, retire_dead
from service.operations import (
    Approvals,
    Attest,
    Certificates,
    Credentials,
    Custody,
    Keys,
    Lookaside,
    Maintenance,
    Metrics,
    OpenPGPKeys,
    Operations,
    QuorumPolicy,
    RateLimits,
    Readiness,
    Records,
    ReissueJobs,
    SeeFindings,
    Sign,
    SignImages,
    SigningJobs,
    SignPayload,
    Slots,
    TakeMinutes,
    Timestamps,
    TrustFiles,
    VerifyImages,
    Withdrawals,
)
from service.operations.acts import Acts
from service.operations.attach import AttachRecorded
from service.operations.attest import PrepareAttestations
from service.operations.cycle import SigningCycle
from service.operations.deliver import DeliverAttachments
from service.operations.fanout import Fanout
from service.operations.find_lookaside import FindLookaside
from service.operations.log import (
    ReadAuditLog,
    ReadLog,
    SearchAudit,
    TakeEntries,
    TendLogs,
    TrustedLogs,
)
from service.operations.pauses import RegistryPauses
from service.operations.prepare import PrepareItems
from service.operations.proofs import RecordedProofs
from service.operations.published import KeepPublished
from service.operations.quorum import Quorum
from service.operations.reconcile import Reconcile
from service.operations.reissue_images import ExamineImages
from service.operations.reissue_jobs import RunReissueJob
from service.operations.renewal import LeaseRenewer
from service.operations.replay import Replays
from service.operations.run_jobs import RunJobs
from service.operations.sign_units import SignUnits
from service.operations.signing_jobs import RunSigningJob
from service.operations.watch_certificates import WatchCertificates
from service.operations.watch_quorum import WatchQuorum
from service.ports.metrics import Meter
from service.ports.steps import NoObserver, StepObserver
from service.registry import OCIClient, ReferrerListing, RegistryBook, TagListing
from service.store import Store
from service.worker import Chore, Chores

REGISTRY_THREADS = 8  # a registry on a filesystem gains nothing from more

APPROVALS_SECONDS = 5.0  # how late what has run out may be put on record; it counts at once
CERTIFICATES_SECONDS = 2.0  # how late a certificate that ends may show in the findings
LOGS_SECONDS = 0.5  # how late the audit log may show what has happened
RECONCILE_SECONDS = 10.0  # 20 lists each time: a hundred thousand a day
WITNESSES_SECONDS = 1.0  # how late a checkpoint may be cosigned
PUBLISHED_SECONDS = 2.0  # how late a server without an HSM may know of a withdrawal
QUORUM_SECONDS = 10.0  # how late a change of the policy file may show in the findings


@dataclass(frozen=True, slots=True)
class Service:
    """What the entry points of a process need."""

    operations: Operations
    deliver: DeliverAttachments
    jobs: RunJobs
    chores: Chores
    upkeep: Chores
    """What may take long: done between jobs, and never in the way of deliveries."""
    store: Store
    keyring: Keyring


def build(settings: Settings, *, observer: StepObserver | None = None) -> Service:
    """Build the service from its settings.

    Raises:
        ConfigurationError: a file that the settings name cannot be used.
    """
    clock = SystemClock()
    steps = observer or NoObserver()
    meter = build_meter(settings)
    store = Store(settings.database_url)
    quarantine = store.quarantine_of(installation(settings))
    vigilance = Vigilance(
        quarantine=quarantine,
        leases=store.leases,
        installation=installation(settings),
        end=end_this_process,
    )
    keyring = build_keyring(settings, store, clock, meter, vigilance=vigilance)
    registry = build_registries(settings, clock)
    formats = recorded_formats()
    renewer = LeaseRenewer(clock)
    # Pools: deliveries to a slow registry must not hold up anybody's look-ups, and whoever waits
    # for others must not sit where they run.
    resolving, delivering, verifying, children, reading = (
        Fanout(REGISTRY_THREADS) for _ in range(5)
    )
    attachers = registry_attachers(registry, clock)
    reads = ReadLog(store.log_reader, store.cosignatures)
    log = build_log(settings, store, keyring, clock)
    timestamps = Timestamps(store.keys, keyring, store.audit, clock)
    configured = timestamp_config(settings)
    stamp = build_stamping(configured, store, timestamps, formats, clock)
    deliver = DeliverAttachments(
        store.outbox, attachers, formats, delivering, log, stamp, steps, RegistryPauses(clock)
    )
    policy = PolicyFile(settings.policy_file, clock)
    maintenance = Maintenance(store.switches, clock)
    replays = Replays(store.idempotency, store.outbox, renewer)
    sign: SignImages = Sign(
        prepare=PrepareItems(
            store.keys,
            registry,
            signature_formats(),
            lambda: policy().signing,
            resolving,
            clock,
        ),
        journal=store.journal,
        sign=SignUnits(
            store.journal,
            SigningCycle(store.journal, keyring, formats, renewer, steps, maintenance.may_sign),
            log,
            clock,
        ),
        formats=formats,
        audit=store.audit,
        attach=AttachRecorded(store.outbox, deliver, formats, delivering, clock),
        replays=replays,
        log=log,
        stamp=stamp,
        steps=steps,
    )
    # What is on record tells ours from forged: no stamp and no promise does.
    recorded = signature_finders(registry, RecordedProofs(store.journal), reading, clock)
    examine = ExamineImages(
        store.signed_images,
        store.journal,
        registry,
        TagListing(registry),
        recorded,
        signature_formats(),
        log,
        clock,
    )
    jobs = RunJobs(
        store.jobs,
        store.credentials,
        store.findings,
        {
            JobKind.SIGN: RunSigningJob(sign, replays, store.outbox),
            JobKind.REISSUE: RunReissueJob(
                store.keys, store.signed_images, examine, sign, store.findings, verifying
            ),
        },
        renewer,
        clock,
    )
    attest: Attest = Sign(
        prepare=PrepareAttestations(
            store.keys, registry, AttestationFormat(), lambda: policy().attesting, resolving
        ),
        journal=sign.journal,
        sign=sign.sign,
        formats=sign.formats,
        audit=sign.audit,
        attach=sign.attach,
        replays=sign.replays,
        log=sign.log,
        stamp=sign.stamp,
        steps=sign.steps,
        denied="attestation.denied",
    )
    quorum = Quorum(store.quorum, store.credentials, lambda: policy().quorum, clock)
    certificates = HSMCertificateMaker(keyring)
    made = performers(store, keyring, certificates, clock, policy)
    acts = Acts(made, quorum, store.approvals, clock)
    watched = WatchCertificates(store.certificates, store.findings, clock)
    withdrawals = Withdrawals(
        store.keys,
        store.withdrawals,
        store.log_reader,
        keyring,
        store.leases,
        clock,
        may_issue=reach_hsm(settings.roles),
    )
    openpgp_keys = OpenPGPKeys(store.certifications, keyring)
    proofs = build_proofs(configured, store)
    operations = Operations(
        authenticator=TokenAuthenticator(store.credentials, clock),
        rates=RateLimits(store.buckets, lambda: policy().rates, clock),
        sign=sign,
        signing_jobs=SigningJobs(store.jobs, store.keys, store.outbox, log.prove),
        sign_payload=SignPayload(
            keys=store.keys,
            registry=registry,
            policy=lambda: policy().signing,
            attesting=lambda: policy().attesting,
            journal=store.journal,
            cycle=SigningCycle(
                store.journal, keyring, payload_forms(), renewer, steps, maintenance.may_sign
            ),
            forms=PAYLOAD_FORMS,
            audit=store.audit,
            replays=sign.replays,
            log=log,
        ),
        attest=attest,
        verify=VerifyImages(
            store.keys,
            registry,
            (
                *signature_finders(registry, proofs, reading, clock),
                FindLookaside(registry, store.journal, proofs),
            ),
            verifying,
            children,
            lambda: policy().trust,
            clock,
        ),
        keys=Keys(store.keys, keyring),
        custody=Custody(acts, store.keys, store.audit, clock),
        reissues=ReissueJobs(store.jobs, store.keys, store.audit),
        certificates=Certificates(acts, store.keys, certificates, store.audit),
        findings=SeeFindings(store.findings),
        credentials=Credentials(store.credentials, acts, clock),
        approvals=Approvals(store.approvals, acts, store.credentials, renewer, clock),
        quorum=QuorumPolicy(quorum, acts),
        minutes=TakeMinutes(
            store.keys, store.approvals, store.custody_record, store.credentials, quorum, clock
        ),
        withdrawals=withdrawals,
        records=Records(store.journal, store.outbox, log.prove),
        log=reads,
        audit_log=ReadAuditLog(reads),
        audit_search=SearchAudit(store.audit_search),
        take_entries=TakeEntries(
            log,
            store.log_reader,
            store.keys,
            lambda: policy().trust,
            store.findings,
            store.audit,
        ),
        trust_files=TrustFiles(
            store.keys,
            registry,
            TrustedLogs(store.log_reader, store.keys),
            withdrawals,
            openpgp_keys,
            others(configured),
        ),
        slots=Slots(keyring, store.pins, store.audit),
        timestamps=timestamps,
        lookaside=Lookaside(store.journal, store.keys, registry),
        openpgp_keys=openpgp_keys,
        readiness=Readiness(keyring, store.health, log, [watched, maintenance], settings.roles),
        maintenance=maintenance,
        metrics=Metrics(meter, meter, [store.outbox_gauge, quarantine, watched]),
    )
    chores = Chores(
        [
            Chore("approvals", APPROVALS_SECONDS, operations.approvals.sweep),
            Chore("logs", LOGS_SECONDS, TendLogs(store.log_writer, log.extend, log.guard)),
            Chore("witnesses", WITNESSES_SECONDS, build_witnessing(settings, store, clock)),
            Chore(
                "published",
                PUBLISHED_SECONDS,
                KeepPublished(store.keys, openpgp_keys, withdrawals),
            ),
            Chore("certificates", CERTIFICATES_SECONDS, watched),
            Chore("quorum", QUORUM_SECONDS, WatchQuorum(quorum, store.findings)),
        ],
        clock,
    )
    reconcile = Reconcile(
        store.outbox,
        store.outbox,
        registry,
        ReferrerListing(registry),
        store.keys,
        store.findings,
        store.audit,
        store.leases,
        store.cursors,
        lambda: policy().registries.restore_removed,
        clock,
    )
    upkeep = Chores([Chore("reconcile", RECONCILE_SECONDS, reconcile)], clock)
    return Service(operations, deliver, jobs, chores, upkeep, store, keyring)


def installation(settings: Settings) -> str:
    """Return what names the processes that reach the HSM by the same way."""
    return f"{socket.gethostname()} {settings.state_dir}"


def build_keyring(
    settings: Settings,
    store: Store,
    clock: Clock,
    meter: Meter,
    *,
    vigilance: Vigilance | None = None,
) -> Keyring:
    """`vigilance` is for processes that serve, and are started again when they end."""
    tokens = [token_config(token) for token in settings.tokens]
    # Without a token there is no PIN that could be refused.
    secret = own_secret(settings.pin_latch_secret_file) if tokens else b""
    return Keyring(
        tokens,
        store.pins,
        store.leases,
        secret,
        clock,
        meter=meter,
        vigilance=vigilance,
        call_seconds=settings.hsm_call_seconds,
    )


def token_config(token: TokenSettings) -> TokenConfig:
    return TokenConfig(
        token.module,
        token.label,
        token.serial,
        token.pin_file,
        pin_next_file=token.pin_next_file,
        init_args=token.init_args,
        name=token.name,
    )


def build_meter(settings: Settings) -> PrometheusMeter:
    """Raises ConfigurationError: the directory cannot be used."""
    directory = settings.metrics_dir
    name_metrics_directory(directory)
    try:
        meter = PrometheusMeter(directory)
        # The process whose place this one took, most of the time.
        retire_dead(directory)
    except OSError as error:
        raise ConfigurationError(
            f"the metrics directory {directory} cannot be used: {error.strerror}"
        ) from error
    return meter


def build_registries(settings: Settings, clock: Clock) -> OCIClient:
    """Raises ConfigurationError: the registries file is wrong, or none is named."""
    return OCIClient(registry_book(settings), clock)


def registry_book(settings: Settings) -> RegistryBook:
    """Raises ConfigurationError, as `build_registries`."""
    if settings.registries_file is None:
        raise ConfigurationError("SEALWRIGHT_REGISTRIES_FILE is not set")
    return RegistryBook(settings.registries_file)
