"""Signed notes, checkpoints and witnesses' cosignatures."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from hypothesis import given
from hypothesis import strategies as st

from service.domain.public_keys import SignatureInvalidError
from service.translog.checkpoints import (
    Checkpoint,
    OtherLogError,
    is_log_name,
    open_checkpoint,
    rekor_origin,
    with_signatures,
)
from service.translog.cosignatures import (
    Witness,
    WitnessKind,
    check_cosignatures,
    cosigned_message,
    parse_cosignatures,
)
from service.translog.errors import MalformedError
from service.translog.notes import (
    MAX_SIGNATURES,
    Note,
    NoteSignature,
    check_ecdsa,
    decode_base64,
    ecdsa_key_id,
    is_key_name,
    sign_text,
    typed_key_id,
)
from tests.support.samples import sample, sample_spki

LOG = "log.example.test"

# The example of the cosignature specification, whose keys are the public ones of its text.
SPECIFIED = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""


def new_key() -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return key, spki


def signed(text: str, key: ec.EllipticCurvePrivateKey, spki: bytes, name: str = LOG) -> str:
    signature = key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    return sign_text(text, [NoteSignature(name, ecdsa_key_id(spki), signature)])


# --- notes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_the_sample_checkpoints_are_opened_and_written_again_to_the_byte(form: str) -> None:
    content = sample(f"bundle-log{form}-checkpoint.txt").decode()
    spki = sample_spki("log-key.pub")
    note = Note.parse(content)
    assert note.render() == content
    origin = rekor_origin(LOG, 1) if form == "v1" else LOG
    head = open_checkpoint(content, origin=origin, name=LOG, spki=spki)
    assert (head.origin, head.size) == (origin, 3)
    assert sign_text(head.text(), note.signatures) == content


def test_a_note_may_hold_blank_lines_and_signatures_of_others() -> None:
    key, spki = new_key()
    content = signed("one\n\ntwo\n", key, spki) + "— other.example AAAAAAE=\n"
    note = Note.parse(content)
    assert note.unverified_text == "one\n\ntwo\n"
    assert check_ecdsa(note, name=LOG, spki=spki) == "one\n\ntwo\n"
    assert note.render() == content


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("text\n", id="no-signatures"),
        pytest.param("text\n\n", id="no-signature-line"),
        pytest.param("text\n— log AAAAAAE=\n", id="no-blank-line"),
        pytest.param("text\n\n— log AAAAAAE=", id="cut-off"),
        pytest.param("text\n\n- log AAAAAAE=\n", id="another-dash"),
        pytest.param("text\n\n—log AAAAAAE=\n", id="no-space"),
        pytest.param("text\n\n— log AAAAAA==\n", id="no-signature-after-the-id"),
        pytest.param("text\n\n— log AAAAAAF=\n", id="base64-not-canonical"),
        pytest.param("text\n\n— log AAAAAAE\n", id="base64-without-padding"),
        pytest.param("text\n\n— log AAAAAAE= \n", id="trailing-space"),
        pytest.param("text\n\n— a+b AAAAAAE=\n", id="plus-in-name"),
        pytest.param("text\n\n— \u00a0 AAAAAAE=\n", id="space-for-a-name"),
        pytest.param("text\r\n\n— log AAAAAAE=\n", id="control-character"),
        pytest.param("text\n\n— log AAAAAAE=\n\n", id="blank-line-at-the-end"),
        pytest.param("x" * 300_000 + "\n\n— log AAAAAAE=\n", id="too-long"),
        pytest.param("x\n\n" + "— log AAAAAAE=\n" * (MAX_SIGNATURES + 1), id="too-many"),
    ],
)
def test_what_is_not_a_note_is_refused(content: str) -> None:
    with pytest.raises(MalformedError):
        Note.parse(content)


def test_the_control_of_those_refusals_is_accepted() -> None:
    assert Note.parse("text\n\n— log AAAAAAE=\n").signatures == (
        NoteSignature("log", bytes(4), b"\x01"),
    )


def test_only_a_signature_by_the_very_key_counts() -> None:
    key, spki = new_key()
    other_key, other_spki = new_key()
    content = signed("text\n", key, spki)
    assert check_ecdsa(Note.parse(content), name=LOG, spki=spki) == "text\n"
    with pytest.raises(SignatureInvalidError, match="not signed by this key"):
        check_ecdsa(Note.parse(content), name=LOG, spki=other_spki)
    with pytest.raises(SignatureInvalidError, match="not signed by this key"):
        check_ecdsa(Note.parse(content), name="other.example", spki=spki)
    with pytest.raises(SignatureInvalidError, match="does not verify"):
        check_ecdsa(Note.parse("other" + content), name=LOG, spki=spki)
    # Under the id of the right key, and by another: a collision that somebody made.
    forged = other_key.sign(b"text\n", ec.ECDSA(hashes.SHA256()))
    both = sign_text(
        "text\n",
        [*Note.parse(content).signatures, NoteSignature(LOG, ecdsa_key_id(spki), forged)],
    )
    with pytest.raises(SignatureInvalidError):
        check_ecdsa(Note.parse(both), name=LOG, spki=spki)


def test_a_key_that_is_not_p256_is_no_log_key() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(SignatureInvalidError, match="ec-p256"):
        check_ecdsa(Note.parse("text\n\n— log AAAAAAE=\n"), name="log", spki=spki)


@pytest.mark.parametrize(
    ("name", "good"),
    [("a", True), ("a.example/b", True), ("é", True), ("", False), ("a b", False), ("a+b", False)],
)
def test_key_names(name: str, *, good: bool) -> None:
    assert is_key_name(name) is good


@pytest.mark.parametrize(
    ("name", "good"),
    [("log.example.test", True), ("log.example.test/x", False), ("a - 1", False), ("", False)],
)
def test_names_of_logs(name: str, *, good: bool) -> None:
    assert is_log_name(name) is good


@given(st.binary(max_size=40))
def test_base64_is_taken_in_its_one_spelling(raw: bytes) -> None:
    text = base64.b64encode(raw).decode()
    assert decode_base64(text) == raw
    if "=" in text:
        with pytest.raises(MalformedError):
            decode_base64(text.rstrip("="))


# --- checkpoints ----------------------------------------------------------------------------


@given(
    st.integers(0, (1 << 63) - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), max_size=3),
)
def test_a_checkpoint_is_read_back_as_it_was_written(
    size: int, root: bytes, extensions: list[str]
) -> None:
    checkpoint = Checkpoint("a.example", size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(f"a\n1\n{ROOT}", id="no-newline"),
        pytest.param("a\n1\n", id="two-lines"),
        pytest.param(f"\n1\n{ROOT}\n", id="no-origin"),
        pytest.param(f"a\n01\n{ROOT}\n", id="leading-zero"),
        pytest.param(f"a\n-1\n{ROOT}\n", id="negative"),
        pytest.param(f"a\n+1\n{ROOT}\n", id="plus"),
        pytest.param(f"a\n\u0661\n{ROOT}\n", id="another-digit"),
        pytest.param(f"a\n{1 << 63}\n{ROOT}\n", id="too-large"),
        pytest.param("a\n1\nAAAA\n", id="short-root"),
        pytest.param(f"a\n1\n{ROOT[:-1]}\n", id="no-base64"),
        pytest.param(f"a\n1\n{ROOT}\n\nx\n", id="empty-extension"),
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        Checkpoint.parse(text)


def test_a_checkpoint_of_another_log_is_not_ours_though_the_key_is() -> None:
    key, spki = new_key()
    content = signed(Checkpoint("audit.example", 1, bytes(32)).text(), key, spki)
    with pytest.raises(OtherLogError):
        open_checkpoint(content, origin=LOG, name=LOG, spki=spki)
    assert open_checkpoint(content, origin="audit.example", name=LOG, spki=spki).size == 1


# --- cosignatures ---------------------------------------------------------------------------


def new_witness(kind: WitnessKind, name: str = "witness.example/w1") -> tuple[Any, Witness]:
    key: ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey
    if kind is WitnessKind.ED25519:
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = mldsa.MLDSA44PrivateKey.generate()
    return key, Witness(name, kind, key.public_key().public_bytes_raw())


def cosign(key: Any, witness: Witness, text: str, time: int) -> NoteSignature:
    signature = key.sign(cosigned_message(witness, text, time))
    return NoteSignature(witness.name, witness.key_id, time.to_bytes(8, "big") + signature)


@pytest.mark.parametrize("kind", WitnessKind)
def test_a_cosignature_is_checked_and_dated(kind: WitnessKind) -> None:
    log_key, spki = new_key()
    key, witness = new_witness(kind)
    text = Checkpoint(LOG, 3, bytes(32)).text()
    content = signed(text, log_key, spki)
    line = cosign(key, witness, text, 1_679_315_147)
    (parsed,) = parse_cosignatures(line.line())
    note = Note.parse(with_signatures(content, (parsed, parsed)))
    assert note.signatures[0] == Note.parse(content).signatures[0]
    (found,) = check_cosignatures(note, [witness])
    assert (found.witness, found.time, found.line) == (witness, 1_679_315_147, line)
    assert Witness.parse(witness.vkey()) == witness
    assert check_cosignatures(note, [new_witness(kind)[1]]) == ()


@pytest.mark.parametrize("kind", WitnessKind)
def test_a_cosignature_over_anything_else_is_refused(kind: WitnessKind) -> None:
    key, witness = new_witness(kind)
    text = Checkpoint(LOG, 3, bytes(32)).text()
    line = cosign(key, witness, text, 7)
    later = NoteSignature(line.name, line.key_id, (8).to_bytes(8, "big") + line.signature[8:])
    other = Checkpoint(LOG, 4, bytes(32)).text()
    for note in (Note(text, (later,)), Note(other, (line,))):
        with pytest.raises(SignatureInvalidError):
            check_cosignatures(note, [witness])
    cut = NoteSignature(line.name, line.key_id, line.signature[:8])
    with pytest.raises(MalformedError):
        check_cosignatures(Note(text, (cut,)), [witness])
    assert check_cosignatures(Note(text, (line,)), [witness])


def test_the_messages_are_those_of_the_specification() -> None:
    text = Note.parse(SPECIFIED).unverified_text
    _, one = new_witness(WitnessKind.ED25519)
    assert cosigned_message(one, text, 1679315147).decode() == (
        "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )
    _, two = new_witness(WitnessKind.ML_DSA_44, "w")
    message = cosigned_message(two, text, 5)
    origin = b"example.com/behind-the-sofa"
    assert message == (
        b"subtree/v1\n\0" + b"\x01w" + (5).to_bytes(8, "big") + bytes([len(origin)]) + origin
        + (0).to_bytes(8, "big") + (20852163).to_bytes(8, "big")
        + base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    )  # fmt: skip


def test_the_example_of_the_specification_is_read() -> None:
    note = Note.parse(SPECIFIED)
    assert note.render() == SPECIFIED
    witness = note.signatures[1]
    assert witness.name == "witness.example.com/w1"
    assert int.from_bytes(witness.signature[:8], "big") == 1679315147


def test_key_ids_are_those_of_the_specification() -> None:
    # golang.org/x/mod/sumdb/note, its example: PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW
    key = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert typed_key_id("PeterNeumann", key[0], key[1:]).hex() == "c74f20a3"


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        "na me+00000000+BAAA",
        "name+00000000+!!!!",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "name+00000000+" + base64.b64encode(b"\x04" + bytes(31)).decode(),
        "name+00000000+" + base64.b64encode(b"\x04" + bytes(32)).decode(),
    ],
)
def test_what_is_not_a_witnesss_key_is_refused(vkey: str) -> None:
    with pytest.raises(MalformedError):
        Witness.parse(vkey)


def test_names_that_a_subtree_message_cannot_hold_are_refused() -> None:
    _, witness = new_witness(WitnessKind.ML_DSA_44, "w" * 256)
    with pytest.raises(MalformedError):
        cosigned_message(witness, Checkpoint(LOG, 1, bytes(32)).text(), 1)
