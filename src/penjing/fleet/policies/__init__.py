"""Which replica a request goes to: small classes behind one protocol, each with its source. Pure."""

from penjing.fleet.policies.base import Load, Policy, Work
from penjing.fleet.policies.prefix import blocks_of
from penjing.fleet.policies.registry import POLICY_NAMES, PolicyName, policy_named

__all__ = ["POLICY_NAMES", "Load", "Policy", "PolicyName", "Work", "blocks_of", "policy_named"]
