"""Labelled text from where it lies to checked splits, and files fetched from package registries."""

from penjing.data.examples import (
    Example,
    GenerationExample,
    PairExample,
    QuestionExample,
    Row,
    Split,
    TaggedExample,
    TextExample,
    make_split,
)
from penjing.data.kinds import label_order
from penjing.data.load import TaskData, load_split, load_splits, load_text_split, load_text_splits, read_texts
from penjing.data.multi_label import MultiLabelExample
from penjing.data.named import DATA_SETS, WEIGHTS, named_weights
from penjing.data.packages import WheelSource, cache_dir, fetch_from_wheel, wheel_folder
from penjing.data.parallel import ParallelExample
from penjing.data.recipe import DataRecipe
from penjing.data.report import DataReport, Leak, SplitReport

__all__ = [
    "DATA_SETS",
    "WEIGHTS",
    "DataRecipe",
    "DataReport",
    "Example",
    "GenerationExample",
    "Leak",
    "MultiLabelExample",
    "PairExample",
    "ParallelExample",
    "QuestionExample",
    "Row",
    "Split",
    "SplitReport",
    "TaggedExample",
    "TaskData",
    "TextExample",
    "WheelSource",
    "cache_dir",
    "fetch_from_wheel",
    "label_order",
    "load_split",
    "load_splits",
    "load_text_split",
    "load_text_splits",
    "make_split",
    "named_weights",
    "read_texts",
    "wheel_folder",
]
