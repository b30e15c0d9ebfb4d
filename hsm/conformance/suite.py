"""The suite: every check in its order, and how one is put to a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pkcs11

from hsm.conformance import crowd_checks, key_checks, misuse_checks, token_checks
from hsm.conformance.bench import SCHEMES_OF
from hsm.conformance.results import Check, Found, Result, Subject, Verdict
from hsm.errors import HSMError
from hsm.quirks import quirks
from hsm.tokens import serial_of

if TYPE_CHECKING:
    from hsm.conformance.bench import Bench

CHECKS: Final = (
    Check("login", "logs in with the PIN", token_checks.login, needed=True),
    Check("locking", "may be called by several threads", token_checks.locking),
    Check("token", "the token is set up", token_checks.token, needed=True),
    Check("serial", "its serial tells the token from others", token_checks.serial),
    Check("random", "gives random bytes", token_checks.random, needed=True),
    *(
        Check(algorithm.value, f"makes and uses {algorithm} keys", key_checks.kind_of(algorithm))
        for algorithm in SCHEMES_OF
    ),
    Check("signing", "some kind of key signs", key_checks.signing, needed=True),
    Check("protection", "keys are sensitive, not extractable", key_checks.protection, needed=True),
    Check("history", "tells where a key comes from", key_checks.history),
    Check("secrecy", "keeps the private value", key_checks.secrecy),
    Check("wrapping", "wraps out no key that must stay", key_checks.wrapping),
    Check("destruction", "destroys keys", key_checks.destruction, needed=True),
    Check("hash-length", "looks at the length of a hash", misuse_checks.hash_length),
    Check("wrong-kind", "refuses a mechanism for other keys", misuse_checks.wrong_kind),
    Check("always-authenticate", "asks for a PIN where told to", misuse_checks.always_authenticate),
    Check("sessions", "gives enough sessions", token_checks.sessions),
    Check("threads", "signs for eight threads at once", crowd_checks.threads, needed=True),
    Check("lost-login", "a lost login is seen and mended", token_checks.lost_login),
    Check("starting-anew", "initialises again", token_checks.starting_anew, needed=True),
    Check(
        "wrong-pin",
        "refuses a wrong PIN (spends a try)",
        misuse_checks.wrong_pin,
        needed=True,
        asked_for=True,
    ),
)


def begin(bench: Bench) -> Subject:
    """Log in, clean up after an earlier examination, and tell what is examined.

    Raises:
        HSMError: it cannot be examined at all.
    """
    module = bench.module
    bench.clean()
    token = bench.pool.run(lambda leased: leased.session.token)
    return Subject(
        module=str(module.path),
        library=f"{module.manufacturer}: {module.description}",
        token=token.label,
        serial=serial_of(token),
        maker=f"{token.manufacturer_id}: {token.model}",
        quirks=quirks(library=module.manufacturer, maker=token.manufacturer_id).vendor,
    )


def perform(check: Check, bench: Bench) -> Result:
    """Put one check to the token; whatever it answers with becomes a verdict."""
    try:
        found = check.ask(bench)
    except (HSMError, pkcs11.PKCS11Error, ValueError) as error:
        cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        found = Found(Verdict.FAILS, f"{type(error).__name__}: {error}{cause}")
    token = bench.pool.run(lambda leased: leased.session.token)
    known = quirks(library=bench.module.manufacturer, maker=token.manufacturer_id)
    return Result(
        check.name,
        check.title,
        check.needed,
        found.verdict,
        found.detail,
        known=known.differences.get(check.name),
    )


def failed(check: Check, detail: str) -> Result:
    """Return the result of a check that took its process along."""
    return Result(check.name, check.title, check.needed, Verdict.FAILS, detail)
