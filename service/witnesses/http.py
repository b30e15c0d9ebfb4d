"""HTTP to one witness: its configured address and no other, bounded in time and size."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final

import urllib3

from service.domain import bounded
from service.domain.clock import Clock
from service.domain.log import LogName
from service.ports.witnesses import WitnessAnswer, WitnessSilentError
from service.witnesses.config import WitnessConfig

TIMEOUT_SECONDS: Final = 3.0  # deliveries wait meanwhile
MAX_ANSWER_BYTES: Final = 64 * 1024  # lines of some hundred bytes; of ML-DSA some thousand


class WitnessHTTP:
    """service.ports.witnesses.WitnessCalls."""

    def __init__(
        self, config: WitnessConfig, clock: Clock, *, seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._config: Final = config
        self._clock: Final = clock
        self._seconds: Final = seconds
        # Nothing is opened before the first request, so that a process may fork before.
        self._http: Final = urllib3.PoolManager(
            num_pools=1,
            ssl_context=_context(config),
            timeout=urllib3.Timeout(total=seconds),
            retries=False,
        )

    @property
    def key(self) -> str:
        return self._config.witness.vkey()

    @property
    def logs(self) -> Sequence[LogName]:
        return self._config.logs

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        deadline = self._clock.monotonic() + self._seconds
        try:
            answer = self._http.request(
                "POST",
                f"{self._config.url}/add-checkpoint",
                body=body,
                headers={"Content-Type": "text/plain; charset=utf-8"},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                content = bounded.read(
                    answer, most=MAX_ANSWER_BYTES, until=deadline, clock=self._clock
                )
            except BaseException:
                answer.close()
                raise
            answer.release_conn()
        except bounded.Unbounded as error:
            raise WitnessSilentError(f"it {error}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise WitnessSilentError(type(error).__name__) from error
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return WitnessAnswer(answer.status, kind, content)


def _context(config: WitnessConfig) -> ssl.SSLContext | None:
    if config.ca_file is None:
        return None
    return ssl.create_default_context(cafile=str(config.ca_file))
