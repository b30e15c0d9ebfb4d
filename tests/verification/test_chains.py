"""Certificate chains: a table of attacks, and properties with openssl as the second opinion."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.certificates import certificates_pem as pem_text
from service.verification.chains import (
    MAX_CERTIFICATE_BYTES,
    MAX_CERTIFICATES,
    ChainInvalidError,
    FaultCode,
    Use,
    check_chain,
    unverified_from_pem,
)
from tests.support.chain_attacks import CA, LEAF, SIGN, STAMPING
from tests.support.chains import (
    NOW,
    TIME_STAMPING,
    YEAR,
    Spec,
    ca,
    chain_specs,
    issue,
    leaf,
    name,
    openssl_verifies,
    pem_of,
    private_key,
    stamping_leaf,
    with_change,
)


def codes(
    certificates: Sequence[bytes], use: Use = Use.CODE_SIGNING, *, at: datetime | None = NOW
) -> set[FaultCode]:
    try:
        check_chain(certificates, use=use, at=at)
    except ChainInvalidError as error:
        return {fault.code for fault in error.faults}
    return set()


@pytest.mark.parametrize("length", [1, 2, 3, 4, MAX_CERTIFICATES])
def test_a_chain_that_keeps_every_rule_is_accepted(length: int, tmp_path: Path) -> None:
    certificates = issue(chain_specs(length))
    chain = check_chain(certificates, use=Use.CODE_SIGNING, at=NOW)
    assert chain.certificates == tuple(certificates)
    assert chain.root == certificates[-1]
    assert chain.subject.text() == "CN=release 1,O=Example,ST=Bern,C=CH"
    assert (chain.not_before, chain.not_after) == (NOW - YEAR, NOW + YEAR)
    public = private_key("p256", 1).public_key()
    assert chain.public_key == public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert openssl_verifies(certificates, tmp_path, NOW) is None


@pytest.mark.parametrize("length", [2, 3])
def test_a_chain_for_timestamps_is_accepted_for_nothing_else(length: int, tmp_path: Path) -> None:
    stamping = issue(chain_specs(length, stamping_leaf()))
    assert codes(stamping, Use.TIMESTAMPING) == set()
    assert openssl_verifies(stamping, tmp_path, NOW, purpose="timestampsign") is None
    assert codes(stamping) == {FaultCode.EXTENDED_KEY_USAGE}
    signing = issue(chain_specs(length))
    assert codes(signing, Use.TIMESTAMPING) == {FaultCode.EXTENDED_KEY_USAGE}


@pytest.mark.parametrize(
    ("kind", "position"),
    [
        *itertools.product(["p256", "p384", "p521", "rsa-2048", "rsa-3072"], [0, 1, 2]),
        ("ed25519", 1),
        ("ed25519", 2),
    ],
)
def test_every_kind_of_key_that_verifiers_know_is_accepted(kind: str, position: int) -> None:
    assert codes(issue(with_change(chain_specs(3), position, kind=kind))) == set()


@pytest.mark.parametrize(("change", "code"), LEAF.values(), ids=LEAF.keys())
@pytest.mark.parametrize("length", [2, 3])
def test_a_leaf_that_breaks_a_rule_is_refused_for_that_alone(
    change: dict[str, object], code: FaultCode, length: int
) -> None:
    assert codes(issue(with_change(chain_specs(length), 0, **change))) == {code}


@pytest.mark.parametrize(
    "change",
    [
        {"extended": None},
        {"extended": (Usage.CODE_SIGNING, x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"))},
        {"extended_critical": True},
        {"usage": frozenset({SIGN, "content_commitment"})},
        {"is_ca": False},
        {"is_ca": False, "constraints_critical": False},
        {"subject": name("a", ORGANIZATIONAL_UNIT_NAME="team")},
        # "the rest of the extensions … MUST NOT be evaluated or honored"
        {"more": ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True),)},
    ],
)
def test_what_the_rules_leave_open_is_accepted(change: dict[str, object]) -> None:
    for length in (1, 3):
        assert codes(issue(with_change(chain_specs(length), 0, **change))) == set()


@pytest.mark.parametrize(("change", "code"), CA.values(), ids=CA.keys())
@pytest.mark.parametrize("position", [1, 2])
def test_a_ca_certificate_that_breaks_a_rule_is_refused(
    change: dict[str, object], code: FaultCode, position: int
) -> None:
    found = codes(issue(with_change(chain_specs(3), position, **change)))
    # What a CA of such a kind signs is then refused for its algorithm too.
    assert code in found
    assert found <= {code, FaultCode.SIGNATURE_ALGORITHM, FaultCode.SIGNATURE}


@pytest.mark.parametrize(
    ("position", "allowed", "accepted"),
    [(1, 0, True), (2, 0, False), (2, 1, True), (3, 1, False), (3, 2, True), (3, 9, True)],
)
def test_a_path_length_is_how_many_ca_certificates_may_stand_below(
    position: int, allowed: int, accepted: bool, tmp_path: Path
) -> None:
    certificates = issue(with_change(chain_specs(4), position, path_length=allowed))
    assert codes(certificates) == (set() if accepted else {FaultCode.PATH_LENGTH})
    assert (openssl_verifies(certificates, tmp_path, NOW) is None) == accepted


@pytest.mark.parametrize("change", STAMPING.values(), ids=STAMPING.keys())
def test_a_timestamp_certificate_has_timestamping_alone_and_critical(
    change: dict[str, object],
) -> None:
    certificates = issue(chain_specs(3, stamping_leaf(**change)))
    assert codes(certificates, Use.TIMESTAMPING) == {FaultCode.EXTENDED_KEY_USAGE}


def test_a_timestamp_certificate_needs_no_subject_that_notation_matches() -> None:
    plain = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "time")])
    certificates = issue(chain_specs(2, replace(stamping_leaf(), subject=plain)))
    assert codes(certificates, Use.TIMESTAMPING) == set()


def test_a_lone_certificate_is_enough_for_signing_and_not_for_timestamps() -> None:
    assert codes(issue([leaf()])) == set()
    assert codes(issue([stamping_leaf()]), Use.TIMESTAMPING) == {FaultCode.INCOMPLETE}
    assert codes(issue([leaf(is_ca=True)])) == {FaultCode.BASIC_CONSTRAINTS}


@pytest.mark.parametrize(
    ("usages", "accepted"),
    [(TIME_STAMPING, True), ((Usage.ANY_EXTENDED_KEY_USAGE,), True), ((Usage.SERVER_AUTH,), False)],
)
def test_a_ca_must_not_narrow_the_usages_of_a_timestamp_certificate(
    usages: Sequence[x509.ObjectIdentifier], accepted: bool
) -> None:
    specs = with_change(chain_specs(3, stamping_leaf()), 1, extended=usages)
    expected = set() if accepted else {FaultCode.EXTENDED_KEY_USAGE}
    assert codes(issue(specs), Use.TIMESTAMPING) == expected


def without(position: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda chain: [der for n, der in enumerate(chain) if n != position]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda _: [], FaultCode.EMPTY, id="nothing"),
        pytest.param(without(3), FaultCode.INCOMPLETE, id="no root"),
        pytest.param(without(1), FaultCode.ORDER, id="a gap"),
        pytest.param(lambda c: [*c, c[-1]], FaultCode.SELF_SIGNED_INSIDE, id="the root twice"),
        pytest.param(lambda c: [c[0], *c], FaultCode.ORDER, id="the leaf twice"),
        pytest.param(lambda c: c[::-1], FaultCode.ORDER, id="root first"),
        pytest.param(lambda c: c[:1], FaultCode.INCOMPLETE, id="the leaf alone"),
        pytest.param(
            lambda c: [*c, *issue([leaf("another")])], FaultCode.ORDER, id="a stranger at the end"
        ),
        pytest.param(lambda c: [issue([leaf()])[0], *c[1:]], FaultCode.ORDER, id="another leaf"),
        pytest.param(lambda c: [b"", *c], FaultCode.MALFORMED, id="not a certificate"),
        pytest.param(lambda c: [c[0] + b"\0", *c[1:]], FaultCode.MALFORMED, id="bytes behind it"),
        pytest.param(
            lambda c: [bytes(MAX_CERTIFICATE_BYTES + 1), *c], FaultCode.MALFORMED, id="too large"
        ),
        pytest.param(lambda c: c * 3, FaultCode.TOO_LONG, id="too many"),
    ],
)
def test_a_list_that_is_no_chain_is_refused(
    change: Callable[[list[bytes]], list[bytes]], code: FaultCode
) -> None:
    good = issue(chain_specs(4))
    assert codes(good) == set()
    assert code in codes(change(good))


def test_a_root_of_the_same_name_and_another_key_does_not_fit() -> None:
    specs = chain_specs(3)
    forged = issue(with_change(specs, 2, number=99))
    assert codes([*issue(specs)[:2], forged[2]]) == {FaultCode.SIGNATURE}


def test_a_root_that_only_claims_to_have_signed_itself_is_refused() -> None:
    specs = chain_specs(2)
    assert codes(issue(with_change(specs, 1, signer=("p256", 55)))) >= {FaultCode.SIGNATURE}


def test_a_ca_that_changed_its_key_under_its_own_name_is_no_root() -> None:
    old = ca("root", 9)
    certificates = issue([leaf(), replace(old, number=20), old])
    assert codes(certificates) == set()


def test_pss_is_accepted_as_verifiers_accept_it() -> None:
    specs = with_change(chain_specs(3), 1, kind="rsa-2048")
    assert codes(issue(with_change(specs, 0, pss_salt=32))) == set()
    odd = issue(with_change(specs, 0, pss_salt=20))
    assert codes(odd) == {FaultCode.SIGNATURE_ALGORITHM}


PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt")


@pytest.mark.parametrize(
    ("words", "accepted"),
    [
        (("-sha256",), True),
        (("-sha1",), False),
        (("-sha256", *PSS, "rsa_pss_saltlen:32"), True),
        (("-sha256", *PSS, "rsa_pss_saltlen:max"), False),
        (("-sha256", *PSS, "rsa_pss_saltlen:32", "-sigopt", "rsa_mgf1_md:sha1"), False),
        (("-sha224", *PSS, "rsa_pss_saltlen:28"), False),
        (("-sha512-256", *PSS, "rsa_pss_saltlen:32"), False),
    ],
)
def test_a_certificate_signed_as_nobody_should_is_refused(
    words: Sequence[str], accepted: bool, tmp_path: Path
) -> None:
    """The `cryptography` of today signs none such, so it is openssl that makes them."""
    import subprocess  # noqa: PLC0415 - this test's own tool

    key = private_key("rsa-2048", 1).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "empty.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n")
    command = ["openssl", "req", "-new", "-x509", "-key", "key.pem", "-config", "empty.cnf"]
    command += ["-subj", "/C=CH/ST=Bern/O=Example/CN=a", "-days", "30", "-outform", "DER"]
    command += ["-addext", "keyUsage=critical,digitalSignature"]
    command += ["-addext", "basicConstraints=CA:FALSE", "-out", "made.der"]
    subprocess.run([*command, *words], cwd=tmp_path, check=True, capture_output=True)
    expected = set() if accepted else {FaultCode.SIGNATURE_ALGORITHM}
    assert codes([(tmp_path / "made.der").read_bytes()], at=None) == expected


def test_every_fault_is_told_with_the_certificate_that_it_is_about() -> None:
    specs = with_change(chain_specs(3), 0, usage=None, subject=name("a", COUNTRY_NAME=""))
    specs = with_change(specs, 1, is_ca=None)
    with pytest.raises(ChainInvalidError) as refused:
        check_chain(issue(specs), use=Use.CODE_SIGNING, at=NOW)
    assert [(fault.code, fault.position) for fault in refused.value.faults] == [
        (FaultCode.KEY_USAGE, 0),
        (FaultCode.SUBJECT, 0),
        (FaultCode.BASIC_CONSTRAINTS, 1),
    ]
    assert "certificate 2 (CN=intermediate 1" in str(refused.value)


def test_validity_is_judged_at_the_time_that_is_asked_about() -> None:
    certificates = issue(chain_specs(2))
    for moment, accepted in (
        (NOW - YEAR, True),
        (NOW - YEAR - timedelta(seconds=1), False),
        (NOW + YEAR, True),
        (NOW + YEAR + timedelta(seconds=1), False),
        (None, True),
    ):
        assert (codes(certificates, at=moment) == set()) == accepted


# --- PEM


def test_pem_text_is_taken_apart_in_its_order() -> None:
    certificates = issue(chain_specs(3))
    text = "subject=/CN=some words between\n" + pem_of(certificates)
    assert unverified_from_pem(text) == tuple(certificates)
    assert unverified_from_pem(text.replace("\n", "\r\n")) == tuple(certificates)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no PEM certificate"),
        ("certificate", "no PEM certificate"),
        ("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "private key"),
        ("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n", "private key"),
        ("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", "no CERTIFICATE"),
        ("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "not a certificate"),
        ("-----BEGIN CERTIFICATE-----\n", "not a certificate"),
        ("\udcff", "no PEM certificate"),
    ],
)
def test_text_that_holds_anything_but_certificates_is_refused(text: str, said: str) -> None:
    with pytest.raises(ChainInvalidError, match=said):
        unverified_from_pem(text)
    good = pem_of(issue([leaf()]))
    assert unverified_from_pem(good)
    if "BEGIN" in text:
        with pytest.raises(ChainInvalidError, match=said):
            unverified_from_pem(good + text)


# --- properties

DEFECTS = [
    *((0, change, code) for change, code in LEAF.values() if code is not FaultCode.KEY),
    *((1, change, code) for change, code in CA.values() if code is not FaultCode.KEY),
]


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(2, 5),
    kinds=st.lists(st.sampled_from(["p256", "p384", "rsa-2048"]), min_size=5, max_size=5),
    defects=st.lists(st.sampled_from(DEFECTS), max_size=3),
)
def test_a_chain_is_accepted_if_and_only_if_nothing_is_wrong_with_it(
    length: int, kinds: list[str], defects: list[tuple[int, dict[str, object], FaultCode]]
) -> None:
    specs = [
        replace(spec, kind=kind) for spec, kind in zip(chain_specs(length), kinds, strict=False)
    ]
    changed: dict[tuple[int, str], FaultCode] = {}
    for position, change, code in defects:
        if any((position, part) in changed for part in change):
            continue  # the later would undo the earlier
        if any((position, time) in changed for time in ("begin", "end")) and change.keys() & {
            "begin",
            "end",
        }:
            continue  # no certificate ends before it begins
        specs = with_change(specs, position, **change)
        changed.update({(position, part): code for part in change})
    found = codes(issue(specs))
    expected = set(changed.values())
    # Whose signature it is is not asked where the issuer or the algorithm is wrong already.
    if expected & {FaultCode.ORDER, FaultCode.SIGNATURE_ALGORITHM}:
        expected.discard(FaultCode.SIGNATURE)
    # A name, a kind or a use that is wrong may make more wrong than itself.
    assert found >= expected
    assert bool(found) == bool(changed)


@st.composite
def good_specs(draw: st.DrawFn) -> list[Spec]:
    kinds = st.sampled_from(["p256", "p384", "p521", "rsa-2048", "rsa-3072"])
    first = leaf(
        kind=draw(kinds),
        extended=draw(st.sampled_from([None, (Usage.CODE_SIGNING,)])),
        is_ca=draw(st.sampled_from([None, False])),
    )
    above = chain_specs(draw(st.integers(1, 5)))[1:]
    slack = draw(st.integers(0, 3))
    return [
        first,
        *(replace(spec, kind=draw(kinds), path_length=n + slack) for n, spec in enumerate(above)),
    ]


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(specs=good_specs())
def test_what_we_accept_openssl_accepts(specs: list[Spec], tmp_path: Path) -> None:
    certificates = issue(specs)
    assert codes(certificates) == set()
    assert openssl_verifies(certificates, tmp_path, NOW) is None


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(4)), kept=st.integers(1, 4))
def test_only_the_whole_chain_in_its_order_is_one(order: list[int], kept: int) -> None:
    good = issue(chain_specs(4))
    given_order = order[:kept]
    assert (codes([good[n] for n in given_order]) == set()) == (given_order == [0, 1, 2, 3])


@lru_cache(maxsize=1)
def one_chain() -> tuple[bytes, ...]:
    return tuple(issue(chain_specs(2)))


# cryptography takes a country of three letters, or a serial number of zero, and says so.
@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=200, deadline=None)
@given(
    position=st.integers(0, 1),
    damages=st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 255)), min_size=1, max_size=3),
)
def test_damaged_certificates_are_refused_and_never_break_the_judge(
    position: int, damages: list[tuple[int, int]]
) -> None:
    changed = [bytearray(der) for der in one_chain()]
    for place, bits in damages:
        changed[position][place % len(changed[position])] ^= bits
    damaged = [bytes(der) for der in changed]
    with contextlib.suppress(ChainInvalidError):
        unverified_from_pem(pem_text(damaged))
    assert (codes(damaged) == set()) == (tuple(damaged) == one_chain())
