"""Training on real loans, and the hand-written export to ONNX; needs the `train` extra."""
