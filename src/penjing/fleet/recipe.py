"""What a gateway is told: the recipe of ``penjing gateway``."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from penjing.core.nouns import Frozen
from penjing.fleet.fitness import FitnessRecipe
from penjing.fleet.policies import PolicyName
from penjing.serve.recipe import ServeRecipe


class LocalReplicas(Frozen):
    """Replicas that the gateway starts on this machine, watches, and starts anew when they die.

    Attributes:
        replicas: how many processes.
        store: what they serve.
        models: which models; None is all there are.
        weight: the share of each beside others.
        serve: how they serve: the keys of ``penjing serve``. Where they listen is the gateway's to say, and
            ``instances`` is a fair share of the cores unless given.
    """

    replicas: int = Field(default=1, ge=1, le=256)
    store: Path = Path("store")
    models: tuple[str, ...] | None = None
    weight: float = Field(default=1.0, gt=0)
    serve: ServeRecipe = ServeRecipe()

    @model_validator(mode="after")
    def _one_place_to_listen(self) -> Self:
        for name in ("uds", "grpc_uds", "grpc_port", "tls_cert", "tls_client_ca"):
            if getattr(self.serve, name) is not None:
                raise ValueError(f"serve.{name} is for the gateway to say")
        if self.serve.workers != 1:
            raise ValueError("serve.workers: a replica is one process; give replicas instead")
        if self.serve.models is not None:
            raise ValueError("serve.models: give models beside it instead, from which requests are routed as well")
        return self


class RemoteReplica(Frozen):
    """A replica elsewhere.

    Attributes:
        url: ``http://HOST:PORT``, ``https://HOST`` or ``unix:/PATH``.
        grpc: HOST:PORT or ``unix:/PATH`` where it speaks gRPC; None where it does not.
        models: which models it has; None is all.
        weight: its share beside others.
        name: by which metrics and logs know it; its URL, if none is given.
    """

    url: str
    grpc: str | None = None
    models: tuple[str, ...] | None = None
    weight: float = Field(default=1.0, gt=0)
    name: str | None = None


class RepeatRecipe(Frozen):
    """How often requests that a replica refused are sent to another one.

    Attributes:
        share: for each request.
        free_per_s: and besides.
    """

    share: float = Field(default=0.2, ge=0)
    free_per_s: float = Field(default=10.0, ge=0)


class GatewayRecipe(Frozen):
    """How to stand in front of replicas.

    Attributes:
        local: replicas to start here.
        remote: replicas elsewhere.
        policy: which replica a request goes to.
        key_header: the header whose value ``consistent-hash`` goes by; the body, where it did not come.
        fitness: when a replica is sent requests.
        repeat: refused requests sent elsewhere.
        max_in_flight: requests at one replica at one time; those beyond wait in the gateway.
        max_waiting: requests that may wait for a replica before further ones are refused.
        max_wait_ms: the longest that one waits.
        max_body_bytes: largest request body.
        whole_bytes: longest reply that is collected before it is passed on, so that a replica that dies over it costs
            nobody a reply. Replies of unknown length, such as events, are passed on as they come.
        request_timeout_ms: deadline of every request; callers may ask for less.
        connect_timeout_ms: longest time until a connection to a replica stands.
        host, port: where to listen; port 0 takes a free one.
        uds: Unix socket to listen on instead.
        grpc_port: where to listen for gRPC; None does not; 0 takes a free one.
        header_timeout_s: how long a client may take to send the head of a request.
        keep_alive_s: how long an idle connection of a client is kept.
        replica_idle_s: how long an idle connection to a replica is trusted; below what the replica keeps it.
        max_connections: open connections of clients, beyond which new ones are turned away.
        grace_s: how long a stop waits for requests in flight.
    """

    local: tuple[LocalReplicas, ...] = ()
    remote: tuple[RemoteReplica, ...] = ()
    policy: PolicyName = "least-work"
    key_header: str = "x-penjing-key"
    fitness: FitnessRecipe = FitnessRecipe()
    repeat: RepeatRecipe = RepeatRecipe()
    max_in_flight: int = Field(default=128, ge=1)
    max_waiting: int = Field(default=1024, ge=0)
    max_wait_ms: float = Field(default=10_000, gt=0)
    max_body_bytes: int = Field(default=8 << 20, ge=1)
    whole_bytes: int = Field(default=1 << 20, ge=0)
    request_timeout_ms: float = Field(default=600_000, gt=0)
    connect_timeout_ms: float = Field(default=1000, gt=0)
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    uds: Path | None = None
    grpc_port: int | None = Field(default=None, ge=0, le=65535)
    header_timeout_s: float = Field(default=10.0, gt=0)
    keep_alive_s: int = Field(default=65, ge=1)
    replica_idle_s: float = Field(default=30.0, gt=0)
    max_connections: int = Field(default=4096, ge=1)
    grace_s: float = Field(default=30.0, ge=0)

    @model_validator(mode="after")
    def _has_replicas(self) -> Self:
        if not self.local and not self.remote:
            raise ValueError("there are no replicas: give local ones to start, remote ones, or both")
        urls = [one.name or one.url for one in self.remote]
        if len(set(urls)) < len(urls):
            raise ValueError("two remote replicas have the same url or name")
        return self
