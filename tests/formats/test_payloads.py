"""There is no way to have other bytes signed than those that are wholly understood."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from service.domain.attestations import COSIGN_SIGN
from service.domain.digests import Digest
from service.domain.keys import Scheme
from service.domain.payloads import Encoding
from service.domain.public_keys import SignatureInvalidError
from service.domain.references import Reference
from service.formats import dsse
from service.formats.payloads import PAYLOAD_FORMS, PayloadMalformedError, read
from tests.support.payloads import SBOM, a_statement, misshapen, one_of_each, pae, simple
from tests.support.statements import a_statement as a_signed_statement
from tests.support.statements import a_version

of = a_signed_statement
DIGEST = Digest("a" * 64)
GOOD = one_of_each(DIGEST)
BAD = misshapen(DIGEST)


@pytest.mark.parametrize("encoding", Encoding)
def test_each_kind_is_read_as_itself_and_as_nothing_else(encoding: Encoding) -> None:
    assert GOOD.keys() == set(Encoding)
    claim = read(encoding, GOOD[encoding])
    assert (claim.digest, claim.signs_an_image) == (DIGEST, True)
    assert PAYLOAD_FORMS[encoding].message(claim.content, claim.scheme) == GOOD[encoding]
    for other in set(Encoding) - {encoding}:
        with pytest.raises(PayloadMalformedError):
            read(other, GOOD[encoding])


@pytest.mark.parametrize("what", BAD)
def test_what_two_readers_could_understand_in_two_ways_is_refused(what: str) -> None:
    encoding, payload = BAD[what]
    with pytest.raises(PayloadMalformedError):
        read(encoding, payload)


@given(st.binary(max_size=200), st.sampled_from(Encoding))
def test_bytes_of_no_kind_are_refused(payload: bytes, encoding: Encoding) -> None:
    with pytest.raises(PayloadMalformedError):
        read(encoding, payload)


@given(st.data(), st.sampled_from(Encoding))
def test_a_changed_payload_is_refused_or_still_says_all_that_is_in_it(
    data: st.DataObject, encoding: Encoding
) -> None:
    whole = GOOD[encoding]
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 8)))
    changed = whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:]
    try:
        claim = read(encoding, changed)
    except PayloadMalformedError:
        return
    # What is recorded gives exactly the bytes that are signed.
    assert PAYLOAD_FORMS[encoding].message(claim.content, claim.scheme) == changed
    if encoding in (Encoding.SIMPLESIGNING, Encoding.DSSE_PAE):
        assert claim.digest.hex.encode() in changed
        kind = claim.predicate_type
        says = COSIGN_SIGN if kind is None else kind.uri
        assert says.encode() in changed or encoding is Encoding.SIMPLESIGNING


@given(
    st.text(min_size=1, max_size=40).filter(lambda text: text != COSIGN_SIGN)
    | st.from_regex(r"https://[a-z./]{1,20}", fullmatch=True)
)
def test_no_other_predicate_passes_for_a_signature(predicate_type: str) -> None:
    try:
        claim = read(Encoding.DSSE_PAE, pae(a_statement(DIGEST, predicate_type)))
    except PayloadMalformedError:
        return
    assert not claim.signs_an_image
    assert claim.predicate_type is not None
    assert claim.predicate_type.uri == predicate_type


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.recursive(st.none() | st.booleans() | st.text(max_size=5), st.lists, max_leaves=3),
        max_size=4,
    )
)
def test_a_statement_with_members_of_its_own_is_refused(more: dict[str, object]) -> None:
    wanted = {**a_statement(DIGEST), **more}
    payload = dsse.pae(json.dumps(wanted).encode())
    if more.keys() <= a_statement(DIGEST).keys():
        return
    with pytest.raises(PayloadMalformedError):
        read(Encoding.DSSE_PAE, payload)


@pytest.mark.parametrize("encoding", Encoding)
def test_a_signature_is_checked_over_what_was_read_and_by_the_pinned_key(
    encoding: Encoding,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    form, scheme, version = PAYLOAD_FORMS[encoding], Scheme.ECDSA_P256_SHA256, a_version(spki)
    content = read(encoding, GOOD[encoding]).content
    good = key.sign(GOOD[encoding], ec.ECDSA(hashes.SHA256()))
    form.check(of(DIGEST), content, good, version=version, scheme=scheme)
    other = key.sign(b"something else", ec.ECDSA(hashes.SHA256()))
    with pytest.raises(SignatureInvalidError):
        form.check(of(DIGEST), content, other, version=version, scheme=scheme)
    with pytest.raises(SignatureInvalidError, match="is about"):
        form.check(of(Digest("b" * 64)), content, good, version=version, scheme=scheme)
    with pytest.raises(SignatureInvalidError):
        form.check(of(DIGEST), content, good, version=version, scheme=Scheme.ECDSA_P384_SHA384)
    assert len(form.value(good, scheme)) == 64 or form.value(good, scheme) == good


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("registry.example.com/team/app:1.0", "registry.example.com/team/app:1.0"),
        ("", None),
        ("Not A Name", None),
    ],
)
def test_the_name_is_that_which_the_payload_claims(name: str, said: str | None) -> None:
    wanted = None if said is None else Reference.parse(said)
    assert read(Encoding.SIMPLESIGNING, simple(DIGEST, name)).name == wanted
    assert read(Encoding.DSSE_PAE, pae(a_statement(DIGEST, SBOM, name=name))).name == wanted
