"""Certificates of keys on a real token and a real store, through the acts of custody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import NameOID
from pkcs11 import Attribute, ObjectClass
from pkcs11.util.ec import encode_ec_public_key

from service.authority import HSMCertificateMaker
from service.bootstrap.acts import performers
from service.domain.acts import ActKind, Performed
from service.domain.approvals import Approval, ApprovalState
from service.domain.callers import Caller, Credential, Role
from service.domain.certificates import ChainOrigin
from service.domain.clock import SystemClock
from service.domain.errors import (
    ApprovalStaleError,
    BusyError,
    CertificateAuthorityNotUsableError,
    CertificateChainRefusedError,
    CertificateNotFoundError,
    CertificateSubjectTakenError,
    ForbiddenError,
    HSMUnavailableError,
    InvalidRequestError,
    KeyNotFoundError,
    KeyNotUsableError,
    ServiceError,
    UnsupportedAlgorithmError,
)
from service.domain.keys import OWN_CA, Algorithm, Key, KeyState, KeyVersion, Purpose
from service.domain.lifecycle import Move
from service.domain.public_keys import public_key
from service.domain.quorum import QuorumRules
from service.domain.x509_names import name_of, parse_subject, subject_from
from service.keyring import Keyring
from service.operations import Approvals, Certificates, Custody
from service.operations.acts import Acts
from service.operations.adopt_key import Adoption
from service.operations.certify_version import ChainImport, SelfSigning
from service.operations.generate_key import Generation
from service.operations.own_ca import LEAF_DAYS, ROOT_DAYS, SELF_MADE, signer_subject
from service.operations.quorum import Quorum
from service.operations.renewal import LeaseRenewer
from service.policy.document import Policy
from service.store import Store
from service.verification.chains import Use, check_chain, validities
from tests.support.chains import Spec, ca, issue, leaf, name, openssl_verifies, pem_of
from tests.support.foreign import foreign_key, session_on
from tests.support.keyrings import Keyrings
from tests.support.oci import TurnedClock
from tests.support.softhsm import SoftHSM, TokenFixture

CUSTODIAN = Caller("cred_1", "keeper", "Grace", Role.CUSTODIAN)
SECOND = Caller("cred_2", "second", "Ada", Role.CUSTODIAN)
PLACE = {"C": "CH", "ST": "Bern", "O": "Example"}
SUBJECT = parse_subject("CN=release,O=Example,ST=Bern,C=CH")


@dataclass
class Room:
    """Where custodians work: keys, certificates, and what is on record."""

    store: Store
    keyring: Keyring
    clock: TurnedClock = field(default_factory=TurnedClock)
    rules: QuorumRules = field(default_factory=QuorumRules)

    def __post_init__(self) -> None:
        maker = HSMCertificateMaker(self.keyring)
        real = SystemClock()  # approvals run out by the database's clock
        for caller in (CUSTODIAN, SECOND):
            credential = Credential(caller, caller.credential_id, real.now())
            self.store.credentials.create(credential, actor="test", only_if_no_admin=False)
        credentials, approvals = self.store.credentials, self.store.approvals
        quorum = Quorum(self.store.quorum, credentials, lambda: self.rules, real)
        made = performers(self.store, self.keyring, maker, self.clock, Policy)
        self.acts = Acts(made, quorum, approvals, real)
        self.approvals = Approvals(approvals, self.acts, credentials, LeaseRenewer(real), real)
        self.custody = Custody(self.acts, self.store.keys, self.store.audit, self.clock)
        self.certificates = Certificates(self.acts, self.store.keys, maker, self.store.audit)

    def make(
        self,
        key: str = "release",
        purpose: Purpose = Purpose.IMAGE,
        algorithm: Algorithm = Algorithm.EC_P256,
    ) -> KeyVersion:
        made = self.custody.generate(CUSTODIAN, Generation(key, purpose, algorithm, None))
        assert isinstance(made, Performed)
        assert isinstance(made.value, Key)
        return made.value.versions[0]

    def rotate(self, key: str = "release", **wanted: Any) -> KeyVersion:
        asked = Generation(key, None, None, None, **wanted)
        made = self.custody.generate(CUSTODIAN, asked)
        assert isinstance(made, Performed)
        assert isinstance(made.value, KeyVersion)
        return made.value

    def move(self, key: str, number: int, to: KeyState) -> None:
        self.custody.move(CUSTODIAN, Move(key, number, to))

    def self_sign(self, key: str = "release", number: int = 1, **wanted: Any) -> KeyVersion:
        asked = SelfSigning(key, number, **{"place": PLACE, "days": LEAF_DAYS, **wanted})
        made = self.certificates.self_sign(CUSTODIAN, asked, token=None)
        assert isinstance(made, Performed)
        assert isinstance(made.value, KeyVersion)
        return made.value

    def install(self, pem: str, key: str = "release", number: int = 1) -> KeyVersion:
        made = self.certificates.install(CUSTODIAN, ChainImport(key, number, pem))
        assert isinstance(made, Performed)
        assert isinstance(made.value, KeyVersion)
        return made.value

    def version(self, key: str = "release", number: int = 1) -> KeyVersion:
        found = self.store.keys.get(key)
        assert found is not None
        version = found.version(number)
        assert version is not None
        return version

    def private_keys(self) -> int:
        """Count what lies on the token."""
        wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
        pool = self.keyring.pools[0]
        return pool.run(lambda leased: len(list(leased.session.get_objects(wanted))))

    def actions(self) -> list[str]:
        query = "SELECT body FROM audit_events ORDER BY seq"
        rows = self.store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
        return [str(orjson.loads(row)["action"]) for row in rows]


@pytest.fixture(scope="module")
def token(softhsm: SoftHSM) -> TokenFixture:
    return softhsm.token("certificates")


@pytest.fixture(scope="module")
def keyring(token: TokenFixture) -> Iterator[Keyring]:
    keyrings = Keyrings()
    with keyrings.closing:
        yield keyrings([token.config])


@pytest.fixture
def room(sqlite_store_url: str, keyring: Keyring) -> Iterator[Room]:
    store = Store(sqlite_store_url)
    yield Room(store, keyring)
    store.close()


def certified_elsewhere(version: KeyVersion, first: Spec | None = None) -> str:
    """Return the chain that a company's CA issues for a version, as PEM."""
    wanted = replace(first or leaf(), public=load_der_public_key(version.public_key))
    begin, end = TurnedClock().now() - timedelta(days=1), TurnedClock().now() + timedelta(days=90)
    specs = [wanted, ca("intermediate", 30), ca("root", 31)]
    return pem_of(issue([replace(spec, begin=begin, end=end) for spec in specs]))


# --- requests


def test_a_request_names_whom_it_is_for_and_is_told_before_it_is_signed(room: Room) -> None:
    version = room.make()
    made = room.certificates.request(CUSTODIAN, "release", 1, SUBJECT)
    request = x509.load_der_x509_csr(made)
    assert request.is_signature_valid
    assert subject_from(request.subject) == SUBJECT
    assert request.public_key() == load_der_public_key(version.public_key)
    assert room.actions()[-1] == "certificate.request-begun"


@pytest.mark.parametrize("state", [KeyState.SUSPENDED, KeyState.RETIRED, KeyState.COMPROMISED])
def test_a_version_that_must_not_sign_does_not_even_sign_a_request(
    room: Room, state: KeyState
) -> None:
    room.make()
    assert room.certificates.request(CUSTODIAN, "release", 1, SUBJECT)
    room.move("release", 1, state)
    with pytest.raises(KeyNotUsableError, match=state):
        room.certificates.request(CUSTODIAN, "release", 1, SUBJECT)
    assert room.actions()[-1] == "custody.refused"


def test_a_staged_version_can_be_certified_before_it_signs(room: Room) -> None:
    room.make()
    room.rotate(state=KeyState.STAGED)
    assert room.certificates.request(CUSTODIAN, "release", 2, SUBJECT)
    chain = certified_elsewhere(room.version(number=2))
    assert room.install(chain, number=2).chain is not None
    assert room.version(number=2).state is KeyState.STAGED


def test_keys_that_sign_neither_images_nor_times_have_no_certificates(room: Room) -> None:
    room.make("log", Purpose.LOG)
    room.make()
    room.self_sign()
    for key in ("log", OWN_CA):
        with pytest.raises(KeyNotUsableError, match="have no certificates"):
            room.certificates.request(CUSTODIAN, key, 1, SUBJECT)
        with pytest.raises(KeyNotUsableError):
            room.install(pem_of(issue([leaf()])), key)
        with pytest.raises(KeyNotUsableError):
            room.self_sign(key)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.CUSTODIAN])
def test_nobody_but_a_custodian_has_to_do_with_certificates(room: Room, role: Role) -> None:
    version = room.make()
    caller = replace(CUSTODIAN, role=role)
    chain = ChainImport("release", 1, certified_elsewhere(version))
    wanted = SelfSigning("release", 1, PLACE, 1)
    with pytest.raises(ForbiddenError):
        room.certificates.request(caller, "release", 1, SUBJECT)
    with pytest.raises(ForbiddenError):
        room.certificates.install(caller, chain)
    with pytest.raises(ForbiddenError):
        room.certificates.self_sign(caller, wanted, token=None)


# --- import


def test_a_chain_from_elsewhere_becomes_the_version_s_and_is_shown(room: Room) -> None:
    version = room.make()
    text = certified_elsewhere(version)
    imported = room.install(text)
    assert imported.chain is not None
    assert imported.chain.origin is ChainOrigin.IMPORTED
    assert imported.chain.pem() == text
    assert room.version() == imported
    assert room.certificates.chain("release", None) == imported.chain
    assert room.certificates.chain("release", 1) == imported.chain


def test_a_chain_of_another_key_is_refused(room: Room) -> None:
    room.make()
    other = room.make("other")
    with pytest.raises(CertificateChainRefusedError, match="wrong-key"):
        room.install(certified_elsewhere(other))
    assert room.version().chain is None
    room.install(certified_elsewhere(other), "other")


def test_every_reason_against_a_chain_is_told(room: Room) -> None:
    version = room.make()
    bad = replace(leaf(usage=None), subject=name("a", ORGANIZATION_NAME=""))
    with pytest.raises(CertificateChainRefusedError) as refused:
        room.install(certified_elsewhere(version, bad))
    assert [reason.partition(":")[0] for reason in refused.value.reasons] == [
        "key-usage",
        "subject",
    ]
    with pytest.raises(CertificateChainRefusedError, match="private key"):
        room.install("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")


def test_a_chain_that_is_over_is_refused_at_the_time_of_the_act(room: Room) -> None:
    version = room.make()
    text = certified_elsewhere(version)
    act = ChainImport("release", 1, text).act()
    performer = room.acts.performers[ActKind.CERTIFICATE_IMPORT]
    performer.check(act)
    room.clock.turn(91 * 86400)
    with pytest.raises(CertificateChainRefusedError, match="validity"):
        performer.check(act)


def test_what_an_act_was_checked_against_shows_in_its_fingerprint(room: Room) -> None:
    version = room.make()
    act = ChainImport("release", 1, certified_elsewhere(version)).act()
    performer = room.acts.performers[ActKind.CERTIFICATE_IMPORT]
    first = performer.check(act)
    assert performer.check(act) == first
    room.self_sign()
    certified = performer.check(act)
    assert certified != first
    room.move("release", 1, KeyState.SUSPENDED)
    assert performer.check(act) not in {first, certified}


def test_a_subject_of_another_version_is_refused_whoever_issued_it(room: Room) -> None:
    room.make()
    room.self_sign()
    other = room.make("other")
    taken = name_of(signer_subject(PLACE, "release", 1))
    same = certified_elsewhere(other, replace(leaf(), subject=taken))
    with pytest.raises(CertificateSubjectTakenError, match="release version 1"):
        room.install(same, "other")
    room.install(certified_elsewhere(other), "other")


def test_an_unknown_version_has_no_chain_and_gets_none(room: Room) -> None:
    version = room.make()
    with pytest.raises(CertificateNotFoundError):
        room.certificates.chain("release", None)
    for key, number in (("release", 2), ("nobody", 1)):
        with pytest.raises(KeyNotFoundError):
            room.certificates.chain(key, number)
        with pytest.raises(KeyNotFoundError):
            room.install(certified_elsewhere(version), key, number)
    room.move("release", 1, KeyState.SUSPENDED)
    with pytest.raises(KeyNotUsableError):
        room.certificates.chain("release", None)


# --- our own CA


def test_our_own_ca_certifies_a_version_and_says_who_it_is(room: Room, tmp_path: Path) -> None:
    version = room.make()
    certified = room.self_sign()
    chain = certified.chain
    assert chain is not None
    assert chain.origin is ChainOrigin.OWN_CA
    now = room.clock.now()
    checked = check_chain(chain.certificates, use=Use.CODE_SIGNING, at=now)
    assert checked.public_key == version.public_key
    assert openssl_verifies(chain.certificates, tmp_path, now) is None
    for der in chain.certificates:
        certificate = x509.load_der_x509_certificate(der)
        for distinguished in (certificate.subject, certificate.issuer):
            [unit] = distinguished.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
            assert unit.value == SELF_MADE
    assert chain.subject.get("CN") == "release v1"
    leaf_validity, root_validity = validities(chain.certificates)
    assert (leaf_validity.end - leaf_validity.begin).days == LEAF_DAYS
    assert (root_validity.end - root_validity.begin).days == ROOT_DAYS
    assert leaf_validity.begin < now
    authority = room.version(OWN_CA)
    assert authority.purpose is Purpose.CA
    assert authority.chain is not None
    assert authority.chain.certificates == chain.certificates[1:]
    assert room.certificates.chain(OWN_CA, None) == authority.chain


def test_a_second_key_is_certified_by_the_same_ca_and_asks_for_no_place(room: Room) -> None:
    room.make()
    room.make("build", Purpose.ATTESTATION)
    first = room.self_sign(place={**PLACE, "O": "Somebody"}).chain
    second = room.self_sign("build", place={}).chain
    assert first is not None
    assert second is not None
    assert first.certificates[1] == second.certificates[1]
    assert second.subject.get("O") == "Somebody"
    assert room.self_sign("build", place={"O": "Else"}).chain.subject.get("O") == "Else"  # type: ignore[union-attr]


def test_the_first_certificate_needs_a_place_that_notation_can_name(room: Room) -> None:
    room.make()
    with pytest.raises(InvalidRequestError) as refused:
        room.self_sign(place={"C": "CH"})
    assert refused.value.errors.keys() == {"state", "organization"}
    with pytest.raises(InvalidRequestError):
        room.self_sign(place={**PLACE, "C": "CHE"})
    assert room.store.keys.get(OWN_CA) is None
    assert room.actions()[-2:] == ["custody.refused"] * 2


@pytest.mark.parametrize("purpose", [Purpose.IMAGE, Purpose.ATTESTATION])
def test_a_lone_certificate_is_signed_by_the_key_itself(
    room: Room, purpose: Purpose, tmp_path: Path
) -> None:
    room.make("release", purpose)
    chain = room.self_sign(lone=True).chain
    assert chain is not None
    assert (chain.origin, len(chain.certificates)) == (ChainOrigin.SELF_SIGNED, 1)
    assert chain.subject.get("OU") == SELF_MADE
    assert openssl_verifies(chain.certificates, tmp_path, room.clock.now()) is None
    assert room.store.keys.get(OWN_CA) is None


def test_a_key_for_timestamps_gets_a_chain_of_its_own_profile(room: Room, tmp_path: Path) -> None:
    room.make("time", Purpose.TIMESTAMP)
    chain = room.self_sign("time").chain
    assert chain is not None
    now = room.clock.now()
    check_chain(chain.certificates, use=Use.TIMESTAMPING, at=now)
    assert openssl_verifies(chain.certificates, tmp_path, now, purpose="timestampsign") is None
    with pytest.raises(InvalidRequestError, match="lone"):
        room.self_sign("time", lone=True)


def test_ed25519_is_refused_before_anything_is_made(room: Room) -> None:
    room.make("release", algorithm=Algorithm.ED25519)
    before = room.actions()
    for lone in (True, False):
        with pytest.raises(UnsupportedAlgorithmError, match="Ed25519"):
            room.self_sign(lone=lone)
    assert room.actions()[len(before) :] == ["custody.refused"] * 2


def test_an_rsa_key_gets_an_rsa_ca_because_its_hsm_may_make_nothing_else(
    room: Room, tmp_path: Path
) -> None:
    room.make(algorithm=Algorithm.RSA_2048)
    chain = room.self_sign().chain
    assert chain is not None
    assert room.version(OWN_CA).algorithm is Algorithm.RSA_3072
    assert openssl_verifies(chain.certificates, tmp_path, room.clock.now()) is None


def test_a_leaf_does_not_outlive_its_root(room: Room) -> None:
    room.make()
    room.make("later")
    first = room.self_sign().chain
    assert first is not None
    end = validities(first.certificates)[1].end
    room.clock.turn((ROOT_DAYS - 40) * 86400)
    later = room.self_sign("later").chain
    assert later is not None
    assert validities(later.certificates)[0].end == end == later.not_after
    room.clock.turn(39.9 * 86400)
    with pytest.raises(CertificateAuthorityNotUsableError, match="ends on"):
        room.self_sign("later")
    room.rotate(OWN_CA)
    fresh = room.self_sign("later").chain
    assert fresh is not None
    assert validities(fresh.certificates)[0].end > end
    assert fresh.subject == later.subject


@pytest.mark.parametrize("state", [KeyState.SUSPENDED, KeyState.RETIRED, KeyState.COMPROMISED])
def test_a_ca_that_is_stopped_certifies_nothing(room: Room, state: KeyState) -> None:
    room.make()
    room.self_sign()
    room.move(OWN_CA, 1, state)
    with pytest.raises(CertificateAuthorityNotUsableError, match="active"):
        room.self_sign()
    lone = room.self_sign(lone=True).chain
    assert lone is not None


def test_the_key_of_the_ca_is_made_for_nothing_else_and_by_nobody_else(room: Room) -> None:
    room.make()
    for wanted in (
        Generation("mine", Purpose.CA, Algorithm.EC_P256, None),
        Generation(OWN_CA, Purpose.IMAGE, Algorithm.EC_P256, None),
        Generation(OWN_CA, Purpose.CA, Algorithm.EC_P256, None),
    ):
        with pytest.raises(InvalidRequestError):
            room.custody.generate(CUSTODIAN, wanted)
    assert room.store.keys.get(OWN_CA) is None
    room.self_sign()
    assert room.version(OWN_CA).purpose is Purpose.CA


def test_what_was_approved_while_there_was_no_ca_is_not_done_without_one(room: Room) -> None:
    room.make()
    act = SelfSigning("release", 1, PLACE, 30).act()
    performer = room.acts.performers[ActKind.CERTIFICATE_IMPORT]
    performer.check(act)
    with pytest.raises(CertificateAuthorityNotUsableError, match="never made"):
        performer.perform(act, actor="keeper")


def test_every_name_of_a_key_makes_a_subject_of_its_own() -> None:
    long = ["a" * 64, "a" * 63 + "b", "a" * 62]
    subjects = [signer_subject(PLACE, key, number) for key in long for number in (1, 1000)]
    names = [subject.get("CN") for subject in subjects]
    assert len(set(names)) == len(names)
    assert all(made is not None and len(made) <= 64 for made in names)
    assert all(made is not None and made.endswith(("v1", "v1000")) for made in names)


def test_two_first_certificates_at_once_have_one_root(room: Room) -> None:
    names = ["one", "two", "three"]
    for key in names:
        room.make(key)
    room.make("zero")
    performer = room.acts.performers[ActKind.GENERATE]
    performer.perform(Generation(OWN_CA, Purpose.CA, Algorithm.EC_P256, None).act(), actor="keeper")
    gate = threading.Barrier(len(names))
    failures: list[ServiceError] = []

    def certify(key: str) -> None:
        gate.wait()
        try:
            room.self_sign(key)
        except BusyError as error:
            failures.append(error)

    threads = [threading.Thread(target=certify, args=(key,)) for key in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) < len(names)
    for key in names:
        room.self_sign(key)
    roots = {room.version(key).chain.certificates[1] for key in names}  # type: ignore[union-attr]
    assert roots == {room.version(OWN_CA).chain.certificates[0]}  # type: ignore[union-attr]


def test_what_the_hsm_signs_is_told_before_and_after(room: Room) -> None:
    room.make()
    before = len(room.actions())
    room.self_sign()
    assert room.actions()[before:] == [
        "key.generation-begun",
        "key.created",
        "certificate.issuing-begun",  # the root
        "certificate.recorded",
        "certificate.issuing-begun",  # the leaf
        "certificate.recorded",
    ]


# --- rotation


def test_rotating_a_key_of_our_own_ca_certifies_the_new_version_in_the_same_act(
    room: Room,
) -> None:
    room.make()
    old = room.self_sign(days=100).chain
    assert old is not None
    room.clock.turn(10 * 86400)
    new = room.rotate()
    assert new.chain is not None
    assert new.chain == room.version(number=2).chain
    assert new.chain.origin is ChainOrigin.OWN_CA
    assert new.chain.certificates[1] == old.certificates[1]
    assert new.chain.subject.get("CN") == "release v2"
    assert not new.chain.subject.covers(old.subject)
    validity = validities(new.chain.certificates)[0]
    assert (validity.end - validity.begin).days == 100
    assert validity.begin > validities(old.certificates)[0].begin
    check_chain(new.chain.certificates, use=Use.CODE_SIGNING, at=room.clock.now())
    assert room.version(number=1).state is KeyState.RETIRED
    third = room.rotate(state=KeyState.STAGED)
    assert third.chain is not None
    beside = room.rotate(alongside=True)
    assert beside.chain is not None


def test_adopting_the_next_version_certifies_it_as_well(room: Room, token: TokenFixture) -> None:
    room.make()
    room.self_sign()
    foreign_key(token, label="theirs", cka_id=b"theirs")
    with session_on(token) as session:
        wanted = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: b"theirs"}
        [public] = list(session.get_objects(wanted))
        der = encode_ec_public_key(public)
    text = public_key(der).pem()
    adopted = room.custody.adopt(
        CUSTODIAN, Adoption("release", f"pkcs11:token={token.label};id=theirs", text)
    )
    assert isinstance(adopted, Performed)
    version = room.version(number=2)
    assert version.public_key == der
    assert version.chain is not None
    check_chain(version.chain.certificates, use=Use.CODE_SIGNING, at=room.clock.now())
    with pytest.raises(KeyNotUsableError, match="no other is adopted"):
        room.custody.adopt(
            CUSTODIAN, Adoption(OWN_CA, f"pkcs11:token={token.label};id=other", another_pem())
        )


def another_pem() -> str:
    made = ec.generate_private_key(ec.SECP256R1()).public_key()
    return made.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_rotating_a_key_that_others_certified_leaves_the_new_version_without(room: Room) -> None:
    room.install(certified_elsewhere(room.make()))
    assert room.rotate().chain is None
    room.make("bare")
    assert room.rotate("bare").chain is None


def test_a_rotation_that_cannot_be_certified_makes_nothing(room: Room) -> None:
    room.make()
    room.self_sign()
    room.move(OWN_CA, 1, KeyState.SUSPENDED)
    before = len(room.actions())
    with pytest.raises(CertificateAuthorityNotUsableError):
        room.rotate()
    assert "key.generation-begun" not in room.actions()[before:]
    assert room.version().state is KeyState.ACTIVE
    room.move(OWN_CA, 1, KeyState.ACTIVE)
    assert room.rotate().chain is not None


def test_a_key_pair_that_could_not_be_certified_does_not_stay_on_the_token(room: Room) -> None:
    room.make()
    room.self_sign()
    before = room.private_keys()
    elsewhere = "UPDATE key_locations SET token = 'away' WHERE key = 'own-ca'"
    room.store._database.write(lambda c: c.exec_driver_sql(elsewhere).rowcount)
    with pytest.raises(HSMUnavailableError):
        room.rotate()
    assert room.private_keys() == before
    assert room.version().state is KeyState.ACTIVE
    back = elsewhere.replace("away", room.keyring.pools[0].address.label)
    room.store._database.write(lambda c: c.exec_driver_sql(back).rowcount)
    room.rotate()
    assert room.private_keys() == before + 1


def test_the_ca_itself_can_be_rotated_and_gets_a_root_of_its_own(room: Room) -> None:
    room.make()
    old = room.self_sign().chain
    rotated = room.rotate(OWN_CA)
    assert rotated.chain is None
    new = room.self_sign().chain
    assert old is not None
    assert new is not None
    assert new.certificates[1] != old.certificates[1]
    assert room.version(OWN_CA, 2).chain is not None


# --- quorum


def test_acts_that_wait_for_a_quorum_are_done_when_it_is_there(room: Room) -> None:
    version = room.make()
    kinds = (ActKind.GENERATE, ActKind.CERTIFICATE_IMPORT)
    room.rules = QuorumRules(people=dict.fromkeys(kinds, 2))

    def ask(wanted: SelfSigning | ChainImport) -> ActKind:
        certificates = room.certificates
        if isinstance(wanted, SelfSigning):
            answered = certificates.self_sign(CUSTODIAN, wanted, token=None)
        else:
            answered = certificates.install(CUSTODIAN, wanted)
        assert isinstance(answered, Approval)
        done = room.approvals.approve(SECOND, answered.id, signature=None, reason=None)
        assert done.state is ApprovalState.EXECUTED
        return done.act.kind

    made_here = SelfSigning("release", 1, PLACE, 30)
    assert ask(made_here) is ActKind.GENERATE
    assert room.version().chain is None
    assert ask(made_here) is ActKind.CERTIFICATE_IMPORT
    chain = room.version().chain
    assert chain is not None
    assert chain.origin is ChainOrigin.OWN_CA
    imported = ChainImport("release", 1, certified_elsewhere(version))
    assert ask(imported) is ActKind.CERTIFICATE_IMPORT
    chain = room.version().chain
    assert chain is not None
    assert chain.origin is ChainOrigin.IMPORTED


def test_an_approval_of_a_certificate_is_for_the_state_that_it_was_asked_in(room: Room) -> None:
    room.make()
    room.self_sign()
    room.rules = QuorumRules(people={ActKind.CERTIFICATE_IMPORT: 2})
    wanted = SelfSigning("release", 1, PLACE, 30)
    asked = [room.certificates.self_sign(CUSTODIAN, wanted, token=None) for _ in range(2)]
    assert isinstance(asked[0], Approval)
    assert isinstance(asked[1], Approval)
    room.approvals.approve(SECOND, asked[0].id, signature=None, reason=None)
    chain = room.version().chain
    with pytest.raises(ApprovalStaleError):
        room.approvals.approve(SECOND, asked[1].id, signature=None, reason=None)
    assert room.version().chain == chain


def test_a_token_that_is_away_leaves_everything_as_it_was(room: Room) -> None:
    room.make()
    room.self_sign()
    chain = room.version().chain
    elsewhere = "UPDATE key_locations SET token = 'away' WHERE key = 'own-ca'"
    room.store._database.write(lambda c: c.exec_driver_sql(elsewhere).rowcount)
    with pytest.raises(HSMUnavailableError):
        room.self_sign()
    assert room.version().chain == chain
