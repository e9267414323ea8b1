"""``penjing conformance``: a running server, asked by the clients that people already have.

Nothing here knows Penjing's server from the inside: it may be pointed at Triton or KServe as well.
"""

from penjing.app.conformance.checks import Outcome, Report, State
from penjing.app.conformance.clients import CLIENTS
from penjing.app.conformance.run import conformance

__all__ = ["CLIENTS", "Outcome", "Report", "State", "conformance"]
