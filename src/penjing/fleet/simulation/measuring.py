"""Service times of a server that runs, for a simulation: how long a request takes, and each token of it.

It is asked one request at a time, of several lengths; what its engine took stands in the headers of its replies. The
lengths go round, so that a disturbance falls on all of them, and each counts by its median.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from statistics import median
from urllib.parse import quote, urlsplit

from penjing.core.errors import NotReadyError, UsageError

_WORDS = (1, 8, 32, 96, 192)
_TIMES = ("x-penjing-tokenize-ms", "x-penjing-run-ms")
_ROUNDS, _TIMEOUT_S = 15, 30.0


def service_times(url: str, model: str, *, rounds: int = _ROUNDS) -> tuple[float, float]:
    """Milliseconds of a request of no tokens, and of each token.

    Args:
        url: of a server of Penjing.
        model: one that answers texts.
        rounds: how often each length is asked.

    Raises:
        NotReadyError: it does not answer.
        UsageError: the URL is none, or the server does not say what a request cost.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"{url!r} is no address of a server", expected="http://HOST:PORT")
    found: dict[int, list[tuple[float, float]]] = {}
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=_TIMEOUT_S)
    try:
        for words, cost in _asked(connection, model, rounds):
            found.setdefault(words, []).append(cost)
    except OSError as error:
        raise NotReadyError(f"{url} does not answer: {error}", do="Start it, and try again.") from error
    finally:
        connection.close()
    return line_through([(median(t for t, _ in costs), median(ms for _, ms in costs)) for costs in found.values()])


def line_through(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Start and slope of the line of least squares, neither below 0."""
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = max(0.0, sum((x - mean_x) * (y - mean_y) for x, y in points) / spread) if spread else 0.0
    return max(0.0, mean_y - slope * mean_x), slope


def _asked(
    connection: http.client.HTTPConnection, model: str, rounds: int
) -> Iterator[tuple[int, tuple[float, float]]]:
    for number in range(rounds + 1):
        for words in _WORDS:
            body = json.dumps({"instances": [" ".join(["weather"] * words)]})
            connection.request("POST", f"/v1/models/{quote(model, safe='')}:predict", body)
            reply = connection.getresponse()
            said = reply.read()
            tokens = reply.headers.get("x-penjing-tokens")
            if reply.status != 200 or tokens is None:
                raise UsageError(
                    f"the server answered {reply.status}: {said[:200]!r}", expected="a model that answers texts"
                )
            if number:  # the first round warms up
                yield words, (float(tokens), sum(float(reply.headers.get(name, "0")) for name in _TIMES))
