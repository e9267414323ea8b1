"""What a server is told: the recipe of ``penjing serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from penjing.core.nouns import Frozen
from penjing.security.issued import TokenIssuer


class VersionPolicy(Frozen):
    """Which versions of a model are served. TensorFlow Serving's three policies.

    Attributes:
        kind: the ``count`` latest, the ``specific`` ones, or ``all``.
        count: how many of the latest.
        specific: version numbers.
        labelled: serve each version that a label leads to as well (ours: rollouts need both sides).
    """

    kind: Literal["latest", "specific", "all"] = "latest"
    count: int = Field(default=1, ge=1)
    specific: tuple[int, ...] = ()
    labelled: bool = True

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.kind == "specific") != bool(self.specific):
            raise ValueError("kind 'specific' and the list 'specific' go together")
        return self

    def wanted(self, versions: list[int], labels: dict[str, int]) -> set[int]:
        """Of ``versions``, those to serve."""
        chosen = {
            "latest": set(sorted(versions)[-self.count :]),
            "specific": set(self.specific),
            "all": set(versions),
        }[self.kind]
        if self.labelled:
            chosen |= set(labels.values())
        return chosen & set(versions)


class ServeRecipe(Frozen):
    """How to serve.

    Attributes:
        models: which models; None is all there are, those that appear later included.
        versions: which of their versions.
        labels: model → label → version, on top of the store's aliases.
        poll_s: how often to look for new versions and labels; None is never.
        load_tries, load_retry_s: how often, and how long apart, a version that fails is tried.
        warmup: model → file of recorded requests, answered before a version is available: JSON lines (``.jsonl``), or
            TensorFlow Serving's records. Without, the version's own ``warmup.jsonl`` or
            ``assets.extra/tf_serving_warmup_requests``.
        access_log: file for a line of JSON on each request, without payloads; ``-`` is standard error.
        otlp_endpoint: where OpenTelemetry spans go, over HTTP: ``http://localhost:4318/v1/traces``.
        host, port: where to listen; port 0 takes a free one.
        grpc_port: where to listen for gRPC; None does not; 0 takes a free one.
        uds, grpc_uds: Unix sockets to listen on, instead of ``host`` and ``port`` and of ``grpc_port``. Who may
            connect is left to the umask.
        tls_cert, tls_key: PEM files; both ports speak TLS then. Renewed files are taken up while serving.
        tls_client_ca: PEM file; only clients with a certificate of one of these authorities are let in.
        keys: the file of API keys (``penjing keys``). Where it is given, each request wants one that lets it.
        tokens: signed tokens (JWT) that let in as well.
        access_control: None wants ``keys`` or ``tokens`` where others than this machine can reach the server; false
            lets everybody do everything there, too.
        audit_log: file for a line of JSON on each refusal and on each request that changes something, chained by
            hashes.
        grpc_reflection: tell gRPC clients which services there are.
        cors: let browsers on other sites call.
        workers: server processes on the same ports, watched and replaced when one dies. Each has models, queue and
            limits of its own.
        instances: engine instances a version, in each worker; None is one a usable core, shared out.
        threads: threads an instance.
        batch_tokens: token budget of one batch.
        max_queue_tokens: tokens that may wait for one version before requests are refused; also the
            most that one request may have.
        max_body_bytes: largest request body or gRPC message, also after inflating.
        request_timeout_ms: deadline of every request; callers may ask for less.
        writing_timeout_ms: deadline of a request for generated text; callers may ask for less.
        max_new_tokens: of a generated answer where the request does not say.
        long_text: what to do with text over the model's limit: ``cut`` it (and say so in
            ``x-penjing-cut-texts``) or ``refuse`` it.
        header_timeout_s: how long a client may take to send the head of a request.
        keep_alive_s: how long an idle HTTP connection is kept.
        grpc_idle_s: how long a gRPC connection without calls is kept; clients come back by themselves.
        max_connections: open HTTP connections, beyond which new ones are turned away; and gRPC calls
            at one time, beyond which further ones are.
        grace_s: how long a stop waits for requests in flight.
    """

    models: tuple[str, ...] | None = None
    versions: VersionPolicy = VersionPolicy()
    labels: dict[str, dict[str, int]] = Field(default_factory=dict)
    poll_s: float | None = Field(default=1.0, gt=0)
    load_tries: int = Field(default=5, ge=1)
    load_retry_s: float = Field(default=60.0, ge=0)
    warmup: dict[str, Path] = Field(default_factory=dict)
    access_log: Path | None = None
    otlp_endpoint: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8501, ge=0, le=65535)
    grpc_port: int | None = Field(default=None, ge=0, le=65535)
    uds: Path | None = None
    grpc_uds: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    keys: Path | None = None
    tokens: TokenIssuer | None = None
    access_control: bool | None = None
    audit_log: Path | None = None
    grpc_reflection: bool = False
    cors: bool = False
    workers: int = Field(default=1, ge=1, le=256)
    instances: int | None = Field(default=None, ge=1)
    threads: int = Field(default=1, ge=1)
    batch_tokens: int = Field(default=512, ge=1)
    max_queue_tokens: int = Field(default=32_768, ge=1)
    max_body_bytes: int = Field(default=8 << 20, ge=1)
    request_timeout_ms: float = Field(default=30_000, gt=0)
    writing_timeout_ms: float = Field(default=600_000, gt=0)
    max_new_tokens: int = Field(default=512, ge=1)
    long_text: Literal["cut", "refuse"] = "cut"
    header_timeout_s: float = Field(default=10.0, gt=0)
    keep_alive_s: int = Field(default=65, ge=1)
    grpc_idle_s: float = Field(default=300.0, gt=0)
    max_connections: int = Field(default=1024, ge=1)
    grace_s: float = Field(default=30.0, ge=0)

    @property
    def speaks_grpc(self) -> bool:
        """Whether it is to listen for gRPC at all."""
        return self.grpc_port is not None or self.grpc_uds is not None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        has_access = self.keys is not None or self.tokens is not None
        if self.access_control and not has_access:
            raise ValueError("access_control wants keys, the file of those who are let in, or tokens")
        if self.audit_log is not None and not has_access:
            raise ValueError("audit_log wants keys or tokens: it says who did what")
        if self.access_control is False and has_access:
            raise ValueError("keys or tokens, and access_control: false, contradict each other")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca wants tls_cert and tls_key beside it")
        if self.grpc_port is not None and self.grpc_uds is not None:
            raise ValueError("grpc_port and grpc_uds exclude each other: one place to listen for gRPC")
        if self.workers > 1 and self.grpc_uds is not None:
            raise ValueError("workers cannot share a Unix socket for gRPC: give grpc_port, or one worker")
        if self.workers > 1 and self.poll_s is None:
            raise ValueError("workers learn of new versions by polling: give poll_s, or one worker")
        if self.uds is not None and self.uds == self.grpc_uds:
            raise ValueError("uds and grpc_uds are the same file: two protocols want two sockets")
        return self
