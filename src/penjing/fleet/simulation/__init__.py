"""A fleet without a network: the gateway's own policies before replicas that only count time."""

from penjing.fleet.simulation.arrivals import Arrival, arrivals_of, read_trace
from penjing.fleet.simulation.outcome import Outcome, percentile
from penjing.fleet.simulation.recipe import SimulateRecipe
from penjing.fleet.simulation.run import simulate

__all__ = ["Arrival", "Outcome", "SimulateRecipe", "arrivals_of", "percentile", "read_trace", "simulate"]
