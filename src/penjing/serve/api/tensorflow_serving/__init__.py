"""TensorFlow Serving's REST API, to the letter, with what Penjing adds said in :mod:`.dialect`."""

from penjing.serve.api.tensorflow_serving.dialect import TensorFlowServing

__all__ = ["TensorFlowServing"]
