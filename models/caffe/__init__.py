"""Caffe networks: deploy.prototxt and caffemodel to an ONNX graph."""
