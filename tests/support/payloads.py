"""Payloads as foreign tools make them, one of each kind, and what is wrong with their likes."""

from __future__ import annotations

import json
from typing import Any

from service.domain.attestations import COSIGN_SIGN
from service.domain.digests import Descriptor, Digest
from service.domain.keys import Scheme
from service.domain.media_types import OCI_MANIFEST
from service.domain.payloads import Encoding
from service.formats import dsse
from service.formats.intoto import STATEMENT_TYPE
from service.formats.notation import cose, jws
from service.formats.notation.envelope import target_payload
from tests.support.records import MOMENT

SBOM = "https://spdx.dev/Document"


def simple(digest: Digest, name: str = "registry.example.com/team/app") -> bytes:
    return json.dumps(
        {
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": str(digest)},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    ).encode()


def a_statement(digest: Digest, predicate_type: str = COSIGN_SIGN, **more: Any) -> dict[str, Any]:
    subject: dict[str, Any] = {"digest": {"sha256": digest.hex}}
    if (name := more.pop("name", None)) is not None:
        subject["name"] = name
    return {
        "_type": STATEMENT_TYPE,
        "subject": [subject],
        "predicateType": predicate_type,
        "predicate": {} if predicate_type == COSIGN_SIGN else {"spdxVersion": "SPDX-2.3"},
        **more,
    }


def pae(statement: dict[str, Any]) -> bytes:
    # With spaces, as Go's protojson writes now and then.
    return dsse.pae(json.dumps(statement).encode())


def notation_jws(digest: Digest, scheme: Scheme = Scheme.ECDSA_P256_SHA256) -> bytes:
    target = target_payload(Descriptor(OCI_MANIFEST, digest, 401))
    return jws.signing_input(target, scheme=scheme, at=MOMENT)


def notation_cose(digest: Digest, scheme: Scheme = Scheme.ECDSA_P256_SHA256) -> bytes:
    target = target_payload(Descriptor(OCI_MANIFEST, digest, 401))
    return cose.to_be_signed(target, scheme=scheme, at=MOMENT)


def one_of_each(digest: Digest) -> dict[Encoding, bytes]:
    return {
        Encoding.SIMPLESIGNING: simple(digest),
        Encoding.DSSE_PAE: pae(a_statement(digest)),
        Encoding.NOTATION_JWS: notation_jws(digest),
        Encoding.NOTATION_COSE: notation_cose(digest),
    }


def misshapen(digest: Digest) -> dict[str, tuple[Encoding, bytes]]:
    """Return what must never be signed, by what is wrong with it."""
    good, other = a_statement(digest), Digest("b" * 64)
    text = json.dumps(good)
    twice = text.replace('"predicate":', f'"predicateType": "{SBOM}", "predicate":')
    shouted = text.replace('"predicate":', f'"PredicateType": "{SBOM}", "predicate":')
    signing_input = notation_jws(digest)
    structure = notation_cose(digest)
    simple_text = simple(digest).decode()
    of = Encoding.DSSE_PAE
    return {
        "nothing": (Encoding.SIMPLESIGNING, b""),
        "a hash": (Encoding.SIMPLESIGNING, bytes.fromhex(digest.hex)),
        "a statement without its encoding": (of, text.encode()),
        "another payload type": (of, dsse.pae(text.encode(), "text/plain")),
        "a longer payload than it says": (of, pae(good) + b" "),
        "a length with a zero before it": (of, pae(good).replace(b"DSSEv1 28", b"DSSEv1 028")),
        "a predicate type twice": (of, dsse.pae(twice.encode())),
        "a predicate type in two spellings": (of, dsse.pae(shouted.encode())),
        "a signature that says something": (of, pae({**good, "predicate": {"result": "failed"}})),
        "a predicate type that is no URI": (of, pae({**good, "predicateType": "sbom"})),
        "no predicate type": (of, pae({**good, "predicateType": ""})),
        "another kind of statement": (of, pae({**good, "_type": "https://example.com/v1"})),
        "no subject": (of, pae({**good, "subject": []})),
        "two subjects": (of, pae({**good, "subject": good["subject"] * 2})),
        "two subjects of two images": (
            of,
            pae({**good, "subject": [*good["subject"], {"digest": {"sha256": other.hex}}]}),
        ),
        "a second digest": (
            of,
            pae({**good, "subject": [{"digest": {"sha256": digest.hex, "sha512": "c" * 128}}]}),
        ),
        "no sha256": (of, pae({**good, "subject": [{"digest": {"sha512": "c" * 128}}]})),
        "a digest in upper case": (
            of,
            pae({**good, "subject": [{"digest": {"sha256": digest.hex.upper()}}]}),
        ),
        "a digest twice": (
            Encoding.SIMPLESIGNING,
            simple_text.replace(
                '"docker-manifest-digest"',
                f'"docker-manifest-digest": "{other}", "docker-manifest-digest"',
            ).encode(),
        ),
        "another type of simple signing": (
            Encoding.SIMPLESIGNING,
            simple_text.replace("cosign container image", "atomic container").encode(),
        ),
        "a member more": (
            Encoding.SIMPLESIGNING,
            simple_text.replace('"optional"', '"extra": 1, "optional"').encode(),
        ),
        "a third part": (Encoding.NOTATION_JWS, signing_input + b".e30"),
        "padding": (Encoding.NOTATION_JWS, signing_input + b"="),
        "no headers": (Encoding.NOTATION_JWS, b"e30." + signing_input.partition(b".")[2]),
        "headers that are no object": (Encoding.NOTATION_JWS, b"W10.e30"),
        "headers of another kind": (
            Encoding.NOTATION_COSE,
            cose._structure(b"\xa1\x02\x81\x80", b""),
        ),
        "no such time": (
            Encoding.NOTATION_JWS,
            jws._encode(
                json.dumps(
                    {
                        **json.loads(jws._decode(signing_input.decode().partition(".")[0])),
                        "io.cncf.notary.signingTime": "2026-13-01T00:00:00Z",
                    }
                ).encode()
            ).encode()
            + b"."
            + signing_input.partition(b".")[2],
        ),
        "bytes behind a structure": (Encoding.NOTATION_COSE, structure + b"\0"),
        "another context": (
            Encoding.NOTATION_COSE,
            structure.replace(b"Signature1", b"Signature0"),
        ),
    }
