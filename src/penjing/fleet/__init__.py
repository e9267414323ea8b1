"""Many replicas behind one address: which one a request goes to, and what happens when one fails. Loads no torch."""

from penjing.fleet.gateway import Gateway
from penjing.fleet.metrics import METRICS
from penjing.fleet.recipe import GatewayRecipe, LocalReplicas, RemoteReplica
from penjing.fleet.running import gateway, running_gateway

__all__ = ["METRICS", "Gateway", "GatewayRecipe", "LocalReplicas", "RemoteReplica", "gateway", "running_gateway"]
