"""Models: manifests with hash and input contract, ONNX sessions, and the sliding window. No torch."""

from lvo.infer.manifest import Manifest
from lvo.infer.registry import list_models, load_model
from lvo.infer.session import Model, predict

__all__ = ["Manifest", "Model", "list_models", "load_model", "predict"]
