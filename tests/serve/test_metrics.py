"""The table of metrics in the docstring is the table of metrics in the code, and the names come out right."""

from __future__ import annotations

import re

from penjing.serve import metrics
from penjing.serve.answers import Cost
from penjing.serve.metrics import METRICS, Metrics


def test_the_docstring_lists_every_metric():
    rows = re.findall(r"^(penjing_\w+)\s+(counter|gauge|histogram)\s+(\S.*?)\s{2,}\S", metrics.__doc__, re.MULTILINE)
    assert [(name, kind, tuple(labels.split(", "))) for name, kind, labels in rows] == [
        (metric.name, metric.kind, metric.labels) for metric in METRICS if metric.name.startswith("penjing")
    ]
    for metric in METRICS:
        assert metric.name.removesuffix("_total") in metrics.__doc__


def test_tensorflow_servings_own_names():
    meters = Metrics()
    meters.of("my_created").replied("OK", api="Predict", seconds=0.002)
    meters.of("my_created").answered(Cost(tokens=5), sequences=2)
    page = meters.page([]).decode()
    assert '\n:tensorflow:serving:request_count{model_name="my_created",status="OK"} 1.0\n' in page
    assert "# TYPE :tensorflow:serving:request_count counter" in page
    assert (
        ':tensorflow:serving:request_latency_sum{API="Predict",entrypoint="REST",model_name="my_created"} 2000.0'
        in page
    )
    assert page.count(":tensorflow:serving:request_latency_bucket") == 34
    assert ':tensorflow:serving:request_example_count_total{model="my_created"} 2.0' in page


def test_two_servers_do_not_share_meters():
    one, other = Metrics(), Metrics()
    one.of("m").refused("overloaded")
    assert b'reason="overloaded"' not in other.page([])
