"""``penjing prune``: a smaller version that answers covered texts as before; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from app.calling import penjing, settings
from app.test_distill import distilling, same_as_transformers
from app.world import BRIEF, labelled_rows
from penjing.app.holding import whole_checkpoint
from penjing.app.judging import kept_predictions
from penjing.app.origin import prepare_for
from penjing.core.progress import SILENT
from penjing.models.sparse import is_sparse
from penjing.store import Store

TEXTS = [text for text, _ in labelled_rows(360, seed=1)]


def pruning(store, *more, model="topics/1"):
    return penjing("prune", model, "--name", "pruned", "--store", store, "--json", *settings(*BRIEF), *more)


def probabilities(store, reference):
    from penjing import predict

    return np.array([one.probabilities for one in predict(reference, TEXTS, store=store)])


def test_without_tokens_that_no_text_needs_the_answers_are_the_same(store):
    ran = pruning(store, "--vocabulary", "--max-drop", 0.1)
    assert ran.status == 0, ran.err
    home = Store(store)
    before, after = home.bundle("topics", 1), home.bundle("pruned", 1)
    assert (after.path / "checkpoint" / "model.safetensors").stat().st_size < (
        before.path / "checkpoint" / "model.safetensors"
    ).stat().st_size
    assert after.manifest.metrics["agreement"].value == 1
    assert "280 of 280 texts are covered" in ran.err
    assert "unknown" in " ".join(after.manifest.notes)
    np.testing.assert_array_equal(probabilities(store, "pruned/1")[:280], probabilities(store, "topics/1")[:280])
    assert same_as_transformers(after)
    data = prepare_for(after, SILENT)
    assert kept_predictions(after, data.test) is not None
    again = penjing("quantize", "pruned/1", "--store", store, "--json", *settings(*BRIEF, "quantize.max_drop=0.3"))
    assert again.status == 0, again.err


def test_fewer_layers_and_neurons_are_chosen_by_importance_and_trained_again(store):
    ran = pruning(store, "--layers", 1, "--neurons", 32, "--vocabulary", *settings("measure=null"))
    assert ran.status == 0, ran.err
    bundle = Store(store).bundle("pruned", 1)
    assert same_as_transformers(bundle)
    assert any("32 of 64 neurons" in note for note in bundle.manifest.notes)
    recovered = distilling(store, "--student", bundle.path / "checkpoint", *settings("measure=null"))
    assert recovered.status == 0, recovered.err
    assert Store(store).bundle("small", 1).manifest.metrics["accuracy"].value > 0.9


def test_heads_leave_an_ordinary_checkpoint_and_are_not_served(store):
    ran = pruning(store, "--heads", 1, *settings("measure=null"))
    assert ran.status == 0, ran.err
    before, after = Store(store).bundle("topics", 1), Store(store).bundle("pruned", 1)
    assert "1 of 4 attention heads are kept" in " ".join(after.manifest.notes)
    assert same_as_transformers(after)
    assert (after.path / "checkpoint" / "config.json").read_text() == (
        before.path / "checkpoint" / "config.json"
    ).read_text()
    engine = [bundle.file(bundle.manifest.engine.file).stat().st_size for bundle in (before, after)]
    assert engine[0] - engine[1] > 2 * 4 * 16 * 32 * 4  # of three heads of 4·16·32 weights; some graph is left


def test_single_weights_go_are_stored_small_and_stay_away(store):
    ran = pruning(store, "--sparsity", 0.8, *settings("measure=null", "weights.by=taylor"))
    assert ran.status == 0, ran.err
    bundle = Store(store).bundle("pruned", 1)
    assert "80.0% of the" in " ".join(bundle.manifest.notes)
    assert not (bundle.path / "checkpoint" / "model.safetensors").exists()
    assert sparsity(whole_checkpoint(bundle)) == pytest.approx(0.8, abs=1e-3)
    assert penjing("delta", "apply", "pruned/1", "--store", store, "--to", store / "dense").status == 0
    assert same_weights(store / "dense", whole_checkpoint(bundle))
    recovered = distilling(
        store, "--student", bundle.path / "checkpoint", *settings("measure=null", "checkpoint=sparse")
    )
    assert recovered.status == 0, recovered.err
    student = Store(store).bundle("small", 1)
    assert student.manifest.metrics["accuracy"].value > 0.9
    assert is_sparse(student.path / "checkpoint")
    assert sparsity(whole_checkpoint(student)) == pytest.approx(0.8, abs=1e-3)


def sparsity(checkpoint):
    from safetensors.numpy import load_file

    found = load_file(checkpoint / "model.safetensors")
    matrices = [one for name, one in found.items() if ".layer." in name and one.ndim == 2]
    return 1 - sum(map(np.count_nonzero, matrices)) / sum(one.size for one in matrices)


def same_weights(one, other):
    return (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_heads_and_neurons_go_until_the_size_is_kept(store):
    before = Store(store).bundle("topics", 1)
    wanted = before.manifest.engine_bytes / 1e6 - 0.03
    ran = pruning(store, "--max-mb", wanted, *settings("measure=null", "target.block=8"))
    assert ran.status == 0, ran.err
    after = Store(store).bundle("pruned", 1)
    assert after.manifest.engine_bytes <= wanted * 1e6
    assert "predicted" in " ".join(after.manifest.notes)
    assert same_as_transformers(after)


@pytest.mark.parametrize(
    ("more", "model", "said"),
    [
        ([], "topics/1", "nothing to prune"),
        (["--layers", 3], "topics/1", "3 layers of a model of 2"),
        (["--heads", 5], "topics/1", "5 heads of a model of 4"),
        (["--sparsity", 1.0], "topics/1", "weights.share"),
        (["--speedup", 1], "topics/1", "target.speedup"),
        (["--speedup", 2, "--heads", 2], "topics/1", "chooses by itself"),
        (["--max-mb", 1, "--vocabulary"], "topics/1", "prune the vocabulary first"),
        (["--neurons", 65], "topics/1", "65 neurons of layers of 64"),
        (["--layers", 1], "topics/2", "holds no checkpoint"),
        (["--layers", 1, "--neurons", 1, "--max-drop", 0], "topics/1", "accuracy"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_registered(store, more, model, said):
    ran = pruning(store, *more, *settings("measure=null"), model=model)
    assert ran.status in (1, 2)
    assert said in ran.err
    assert "pruned" not in Store(store).models()
