"""ONNX graphs: read, check, cut, rewrite, fuse. Start at `models.graph.prepare`."""
