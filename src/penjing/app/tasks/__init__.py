"""What the life-cycle commands need to know of a task: one file a task, behind one protocol.

``finetune``, ``quantize``, ``export`` and ``evaluate`` are the same for every task; what differs is here.
"""

from penjing.app.tasks.base import Judgement, TaskFlow, TextSettings, prepare
from penjing.app.tasks.registry import FLOWS, flow_of

__all__ = ["FLOWS", "Judgement", "TaskFlow", "TextSettings", "flow_of", "prepare"]
