"""The data plane without HTTP: texts, pairs and ids in, outputs and their cost out."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from penjing.core.errors import DeadlineError, InvalidRequestError, OverloadedError
from penjing.serve.catalogue import StoreCatalogue
from penjing.serve.metrics import Metrics
from penjing.serve.models import Models
from penjing.serve.plane import ON_LOOP_CHARACTERS, DataPlane
from penjing.serve.recipe import ServeRecipe
from penjing.store.store import Store
from serve.doubles import MAX_TOKENS, fresh, halves, ids, publish

CLS, SEP, W1, W2 = 2, 3, 7, 8


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    publish(store)
    models = Models(StoreCatalogue(store), ServeRecipe(poll_s=None, max_queue_tokens=3200), open_with=fresh)
    models.reconcile()
    yield models
    models.close()


@pytest.fixture
def plane(models):
    return DataPlane(models, Metrics())


def predict(plane, inputs, *, within_s=20.0, ref=None):
    return asyncio.run(plane.predict("m", ref, inputs, deadline=time.monotonic() + within_s))


def test_texts_pairs_and_ids_agree(plane):
    by_text = predict(plane, ["w1 w2", "w1"])
    by_pair = predict(plane, [("w1", "w2")])
    by_ids = predict(plane, [ids(CLS, W1, W2, SEP), ids(CLS, W1, SEP)])
    np.testing.assert_array_equal(by_text.outputs, halves([[CLS, W1, W2, SEP], [CLS, W1, SEP]]))
    np.testing.assert_array_equal(by_text.outputs, by_ids.outputs)
    np.testing.assert_array_equal(by_pair.outputs, halves([[CLS, W1, SEP, W2, SEP]]))
    assert (by_text.model, by_text.version, by_text.labels) == ("m", 1, ("bad", "fair", "good"))
    assert (by_text.cost.tokens, by_ids.cost.tokens) == (7, 7)


def test_long_text_goes_aside_and_is_cut_aloud(plane):
    answers = predict(plane, ["w1 " * ON_LOOP_CHARACTERS, "w2"])
    assert answers.cost.cut == 1
    assert answers.cost.tokens == MAX_TOKENS + 3
    assert answers.cost.tokenize_ms > 0


def test_long_text_may_be_refused(models):
    with pytest.raises(InvalidRequestError, match="text 1 is over 16 tokens"):
        predict(DataPlane(models, Metrics(), long_text="refuse"), ["w1", "w1 " * 30])


@pytest.mark.parametrize("bad", [ids(), ids(100), ids(-1), ids(*[7] * (MAX_TOKENS + 1))])
def test_bad_ids_are_refused_and_leave_no_trace(plane, models, bad):
    with pytest.raises(InvalidRequestError, match="input 1"):
        predict(plane, [ids(7), bad])
    assert models.all()[0].lane.queue_tokens == 0


def test_nothing_in_nothing_out(plane):
    assert predict(plane, []).outputs.shape == (0, 3)


def test_a_deadline_that_has_passed(plane):
    with pytest.raises(DeadlineError):
        predict(plane, ["w1"], within_s=0)


def test_a_draining_plane_refuses(plane):
    plane.is_draining = True
    with pytest.raises(OverloadedError) as caught:
        predict(plane, ["w1"])
    assert caught.value.retry_after_s > 0
    assert b'penjing_refused_total{model="m",reason="draining"} 1.0' in plane.metrics.page([])


def test_a_request_larger_than_the_queue_is_refused_for_good(plane):
    with pytest.raises(InvalidRequestError, match="at most 3200"):
        predict(plane, [ids(*[7] * MAX_TOKENS)] * 201)


def test_a_deadline_that_passes_while_reading(plane):
    with pytest.raises(DeadlineError) as caught:
        asyncio.run(plane.aside(lambda: time.sleep(0.05), deadline=time.monotonic() + 0.01))
    assert caught.value.waiting


def test_a_request_larger_than_the_budget_still_runs(plane):
    answers = predict(plane, [ids(*[7] * MAX_TOKENS)] * 200)
    assert answers.outputs.shape == (200, 3)
    assert answers.cost.tokens == 200 * MAX_TOKENS
    assert answers.cost.batch_fill == pytest.approx(1)


def test_costs_are_counted(plane, models):
    predict(plane, ["w1 w2", "w1"])
    page = plane.metrics.page(models.all()).decode()
    assert 'penjing_tokens_total{model="m"} 7.0' in page
    assert 'penjing_sequences_total{model="m"} 2.0' in page
    assert 'penjing_queue_ms_count{model="m"} 1.0' in page
    assert 'penjing_version_state{model="m",version="1"} 30.0' in page
    assert "_created" not in page


@pytest.mark.parametrize("long_text", ["cut", "refuse"])
def test_a_caller_may_want_long_text_treated_otherwise(models, long_text):
    plane = DataPlane(models, Metrics(), long_text="refuse" if long_text == "cut" else "cut")

    async def ask():
        with plane.hold("m") as version:
            return await plane.ask(version, ["w1 " * 30], deadline=time.monotonic() + 5, long_text=long_text)

    if long_text == "cut":
        assert asyncio.run(ask()).cost.cut == 1
    else:
        with pytest.raises(InvalidRequestError, match="over 16 tokens"):
            asyncio.run(ask())


def spell(plane, texts, *, special=True, within_s=5.0):
    async def ask():
        with plane.hold("m") as version:
            return await plane.spell(version, texts, special=special, deadline=time.monotonic() + within_s)

    return asyncio.run(ask())


def test_spelling_cuts_nothing_on_either_path(plane, models):
    (short,) = spell(plane, ["w1 w2"])
    assert (short.ids, short.tokens) == ([CLS, W1, W2, SEP], ["[CLS]", "w1", "w2", "[SEP]"])
    assert (short.spans[1:3], short.special) == ([(0, 2), (3, 5)], [True, False, False, True])
    long = "w1 " * (ON_LOOP_CHARACTERS // 2)
    (aside,) = spell(plane, [long], special=False)
    assert aside.ids == [W1] * (ON_LOOP_CHARACTERS // 2)
    assert models.all()[0].lane.queue_tokens == 0


def test_spelling_is_admitted_like_anything_else(plane, models):
    with pytest.raises(InvalidRequestError, match="at most 3200"):
        spell(plane, ["w" * 3201])
    with pytest.raises(DeadlineError):
        spell(plane, ["w1"], within_s=0)
    plane.is_draining = True
    with pytest.raises(OverloadedError):
        spell(plane, ["w1"])
    assert models.all()[0].lane.queue_tokens == 0


def test_a_version_knows_what_it_has_done(plane, models):
    usage, lane = models.all()[0].usage, models.all()[0].lane
    answered, failed, sequences, executions = usage.answered, usage.failed, usage.sequences, lane.executions
    predict(plane, ["w1 w2", "w1"])
    with pytest.raises(InvalidRequestError):
        predict(plane, [ids(100)])
    assert (usage.answered, usage.failed, usage.sequences) == (answered + 1, failed + 1, sequences + 2)
    assert lane.executions == executions + 1
    assert usage.answered_s * 1000 >= usage.run_ms > 0
    assert 0 <= time.time() - usage.last_s < 5
