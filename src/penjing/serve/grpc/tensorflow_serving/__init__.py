"""TensorFlow Serving's gRPC services, to the letter; what Penjing adds is what it adds to the REST API."""
