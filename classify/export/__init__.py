"""A classifier handed over: full.onnx, estimator, script, model card."""
