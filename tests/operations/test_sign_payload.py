"""Payloads of foreign tools on a real store: signed once, recorded, or never near a key."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.attestations import COSIGN_SIGN, predicate_type_of
from service.domain.callers import Caller, Role
from service.domain.clock import SystemClock
from service.domain.digests import Digest
from service.domain.errors import (
    ForbiddenError,
    HSMUnavailableError,
    IdempotencyKeyReusedError,
    ImageNotFoundError,
    KeyNotFoundError,
    KeyNotUsableError,
    PayloadNotSignableError,
    PolicyDeniedError,
    PredicateNotAllowedError,
    UnsupportedFormatError,
)
from service.domain.keys import (
    Algorithm,
    Attributes,
    GeneratedKey,
    Key,
    KeyState,
    Location,
    Purpose,
    Scheme,
)
from service.domain.lifecycle import Move
from service.domain.payloads import Encoding, PayloadRequest, SignedPayload
from service.domain.public_keys import public_key
from service.formats.payloads import PAYLOAD_FORMS
from service.operations import SignPayload
from service.operations.cycle import SigningCycle
from service.operations.renewal import LeaseRenewer
from service.operations.replay import Replays
from service.policy.attesting import AttestingPolicy
from service.policy.signing import SigningPolicy
from service.ports.steps import NoObserver
from service.store import Store
from service.translog.rekor import hashedrekord
from tests.support.logged import assert_included
from tests.support.logs import UnsafeSoftwareSigner, make_log, make_log_key, new_signer
from tests.support.operations import AnyRegistry
from tests.support.payloads import (
    SBOM,
    a_statement,
    misshapen,
    notation_jws,
    one_of_each,
    pae,
    simple,
)
from tests.support.records import MOMENT

DIGEST = Digest("a" * 64)
NAMED = "registry.example.com/team/app"
BAD = misshapen(DIGEST)
BUILDER = Caller(
    "cred_1", "builder", "b", Role.BUILDER, ("registry.example.com/team/**",), ("release", "build"),
    frozenset({"sign-payload"}),
)  # fmt: skip


@dataclass
class Bench:
    store: Store
    signer: UnsafeSoftwareSigner
    policy: SigningPolicy
    sign: SignPayload
    attesting: AttestingPolicy = AttestingPolicy()  # noqa: RUF009 - frozen

    def __call__(
        self,
        payload: bytes,
        encoding: Encoding = Encoding.DSSE_PAE,
        *,
        caller: Caller = BUILDER,
        key: str = "release",
        idempotency_key: str | None = None,
    ) -> SignedPayload:
        wanted = PayloadRequest(key, encoding, payload)
        return self.sign(
            caller, wanted, idempotency_key=idempotency_key, body_hash=payload[:8].hex()
        )

    def events(self, action: str) -> list[dict[str, Any]]:
        rows = self.store._database.read(
            lambda c: c.exec_driver_sql("SELECT body FROM audit_events").scalars().all()
        )
        return [body for row in rows if (body := orjson.loads(row))["action"] == action]


def make(store: Store, signer: UnsafeSoftwareSigner, name: str, purpose: Purpose) -> None:
    generated = GeneratedKey(
        name.encode().ljust(16, b"."),
        signer.generate(),
        Location("token", "serial"),
        Attributes(sensitive=True, extractable=False),
    )
    store.keys.create(Key(name, purpose, Algorithm.EC_P256, MOMENT), generated, actor="custodian")


@pytest.fixture
def bench(sqlite_store_url: str, tmp_path: Path) -> Any:
    store, signer, clock = Store(sqlite_store_url), new_signer(), SystemClock()
    make(store, signer, "release", Purpose.IMAGE)
    make(store, signer, "build", Purpose.ATTESTATION)
    make_log_key(store, signer)
    renewer = LeaseRenewer(clock)
    forms = {form.name: form for form in PAYLOAD_FORMS.values()}
    made = Bench(store, signer, SigningPolicy(), cast("Any", None))
    made.sign = SignPayload(
        keys=store.keys,
        registry=cast("Any", AnyRegistry()),
        policy=lambda: made.policy,
        attesting=lambda: made.attesting,
        journal=store.journal,
        cycle=SigningCycle(store.journal, signer, forms, renewer, NoObserver()),
        forms=PAYLOAD_FORMS,
        audit=store.audit,
        replays=Replays(store.idempotency, store.outbox, renewer),
        log=make_log(store, signer, tmp_path / "outside"),
    )
    yield made
    store.close()


@pytest.mark.parametrize("encoding", [Encoding.SIMPLESIGNING, Encoding.DSSE_PAE])
def test_a_payload_is_signed_over_its_exact_bytes_logged_and_recorded(
    bench: Bench, encoding: Encoding
) -> None:
    payload = one_of_each(DIGEST)[encoding]
    made = bench(payload, encoding)
    signature = made.signature
    public_key(signature.public_key).verify(Scheme.ECDSA_P256_SHA256, payload, made.value)
    entry = hashedrekord(payload, signature.signature, signature.public_key)
    assert signature.log is not None
    assert signature.log.entry == signature.log_entry == entry
    assert_included(signature.log)
    assert (signature.statement.digest, made.chain) == (DIGEST, ())
    recorded = bench.store.journal.get(signature.id)
    assert recorded is not None
    assert recorded.statement == signature.statement
    [event] = bench.events("signature.made")
    assert event["details"]["format"] == f"{encoding}-payload"
    assert event["details"]["digest"] == str(DIGEST)


def test_the_same_bytes_get_the_signature_that_stands_and_others_their_own(bench: Bench) -> None:
    first, again = bench(pae(a_statement(DIGEST))), bench(pae(a_statement(DIGEST)))
    assert again == replace(first, signature=again.signature)
    assert again.signature.id == first.signature.id
    assert again.value == first.value
    # The same statement in other bytes: whoever put those into an envelope needs their signature.
    compact = json.dumps(a_statement(DIGEST), separators=(",", ":"))
    other = bench(
        b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(compact), compact.encode())
    )
    assert other.signature.id != first.signature.id


def test_an_idempotency_key_gives_the_same_again_and_nothing_else(bench: Bench) -> None:
    first = bench(pae(a_statement(DIGEST)), idempotency_key="k")
    assert bench(pae(a_statement(DIGEST)), idempotency_key="k").value == first.value
    with pytest.raises(IdempotencyKeyReusedError):
        bench(simple(DIGEST), Encoding.SIMPLESIGNING, idempotency_key="k")


@pytest.mark.parametrize("what", BAD)
def test_a_misshapen_payload_is_refused_on_record_and_reaches_no_key(
    bench: Bench, what: str
) -> None:
    encoding, payload = BAD[what]
    before = len(bench.signer.seen)
    for key in ("release", "build"):
        with pytest.raises(PayloadNotSignableError):
            bench(payload, encoding, key=key)
    assert len(bench.signer.seen) == before
    assert [event["subject"] for event in bench.events("payload.refused")] == ["release", "build"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=60,
)
@given(
    st.one_of(
        st.tuples(st.sampled_from(Encoding), st.binary(max_size=300)),
        st.tuples(
            st.just(Encoding.DSSE_PAE),
            st.text(min_size=1, max_size=30)
            .filter(lambda text: text != COSIGN_SIGN)
            .map(lambda text: pae(a_statement(DIGEST, text))),
        ),
    )
)
def test_neither_arbitrary_bytes_nor_a_foreign_predicate_ever_reach_the_key_of_images(
    bench: Bench, wanted: tuple[Encoding, bytes]
) -> None:
    encoding, payload = wanted
    before = len(bench.signer.seen)
    with pytest.raises((PayloadNotSignableError, PredicateNotAllowedError)):
        bench(payload, encoding)
    assert len(bench.signer.seen) == before


def test_purposes_do_not_mix(bench: Bench) -> None:
    sbom, signature = pae(a_statement(DIGEST, SBOM)), pae(a_statement(DIGEST))
    assert bench(sbom, key="build").signature.statement.key == "build"
    assert bench(signature).signature.statement.key == "release"
    for payload, key in ((sbom, "release"), (signature, "build")):
        with pytest.raises(PredicateNotAllowedError):
            bench(payload, key=key)
    for encoding, payload in one_of_each(DIGEST).items():
        with pytest.raises(PredicateNotAllowedError):
            bench(payload, encoding, key="build")
    everything = replace(BUILDER, keys=("*",))
    with pytest.raises(KeyNotUsableError, match="for log"):
        bench(signature, key="log", caller=everything)
    with pytest.raises(KeyNotFoundError):
        bench(signature, key="nobody", caller=everything)


def test_a_payload_that_names_no_repository_takes_a_right_of_its_own(bench: Bench) -> None:
    bare = replace(BUILDER, rights=frozenset())
    nameless = pae(a_statement(DIGEST))
    with pytest.raises(PolicyDeniedError, match="no right sign-payload"):
        bench(nameless, caller=bare)
    assert bench(nameless).signature.statement.identity == ""
    # One that names a repository is judged by it, whatever rights there are.
    named = simple(DIGEST, f"{NAMED}:1.0")
    made = bench(named, Encoding.SIMPLESIGNING, caller=bare)
    assert str(made.signature.statement.repository) == NAMED
    assert made.signature.statement.identity == f"{NAMED}:1.0"
    with pytest.raises(PolicyDeniedError, match="does not cover the repository"):
        bench(simple(DIGEST, "registry.example.com/others/app"), Encoding.SIMPLESIGNING)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"role": Role.AUDITOR}, id="role"),
        pytest.param({"role": Role.ADMIN}, id="admin"),
        pytest.param({"keys": ("build",)}, id="key"),
        pytest.param({"keys": ()}, id="no-key"),
    ],
)
def test_whoever_may_not_use_the_key_has_nothing_signed(
    bench: Bench, change: dict[str, Any]
) -> None:
    bench(pae(a_statement(DIGEST)))
    with pytest.raises(ForbiddenError):
        bench(pae(a_statement(Digest("b" * 64))), caller=replace(BUILDER, **change))
    assert len(bench.events("payload.refused")) == 1


def test_what_policy_asks_of_repositories_holds_for_payloads_too(bench: Bench) -> None:
    nameless, named = pae(a_statement(DIGEST)), simple(DIGEST, NAMED)
    bench.policy = SigningPolicy(repositories=("registry.example.com/team/other",))
    with pytest.raises(PolicyDeniedError, match="the policy asks which"):
        bench(nameless)
    with pytest.raises(PolicyDeniedError, match="no signing rule"):
        bench(named, Encoding.SIMPLESIGNING)
    bench.policy = SigningPolicy(must_exist=True)
    with pytest.raises(PolicyDeniedError, match="the policy asks which"):
        bench(nameless)
    with pytest.raises(ImageNotFoundError):
        bench(named, Encoding.SIMPLESIGNING)
    bench.policy = SigningPolicy(repositories=("registry.example.com/team/*",))
    bench(named, Encoding.SIMPLESIGNING)


def test_attestations_are_judged_by_their_own_policy(bench: Bench) -> None:
    named, nameless = pae(a_statement(DIGEST, SBOM, name=NAMED)), pae(a_statement(DIGEST, SBOM))
    bench.policy = SigningPolicy(repositories=())  # which is about signatures alone
    made = bench(named, key="build")
    assert str(made.signature.statement.repository) == NAMED
    assert predicate_type_of(made.signature.statement) == SBOM
    bench(nameless, key="build")
    bench.attesting = AttestingPolicy(predicate_types=("https://slsa.dev/**",))
    with pytest.raises(PolicyDeniedError, match="covers the predicate type"):
        bench(named, key="build")
    bench.attesting = AttestingPolicy(repositories=("registry.example.com/others/**",))
    with pytest.raises(PolicyDeniedError, match="no attesting rule"):
        bench(named, key="build")
    with pytest.raises(PolicyDeniedError, match="the policy asks which"):
        bench(nameless, key="build")


def test_notation_wants_a_chain_and_the_algorithm_of_the_key(bench: Bench) -> None:
    with pytest.raises(UnsupportedFormatError, match="self-sign"):
        bench(notation_jws(DIGEST), Encoding.NOTATION_JWS)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda bench: setattr(bench.signer, "is_away", True), id="away"),
        pytest.param(
            lambda bench: bench.store.keys.move(
                Move("release", 1, KeyState.COMPROMISED, reason="stolen"), actor="custodian"
            ),
            id="compromised",
        ),
    ],
)
def test_a_key_that_cannot_sign_now_signs_nothing_and_says_why(
    bench: Bench, spoil: Callable[[Bench], None]
) -> None:
    spoil(bench)
    with pytest.raises((HSMUnavailableError, KeyNotUsableError)):
        bench(pae(a_statement(DIGEST)))
    assert bench.events("signature.made") == []
