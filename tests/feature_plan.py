"""A plan of features for tests that make their own."""

from alutils.models.embeddings import FeaturePlan

PLAN = FeaturePlan(
    "openvino", "cpu", "float32", 64, 1, "0" * 64, "raw", (32, 32), "block5", "avg", "a test"
)
