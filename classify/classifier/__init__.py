"""The fitted object and its file. Start at `classify.classifier.classifier`."""
