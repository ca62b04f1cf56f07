"""Selection rules of trials and guidelines as data with source and date: evaluated one by one, never a verdict."""

from lvo.criteria.clinical import ClinicalFacts, clinical_facts
from lvo.criteria.evaluate import evaluate

__all__ = ["ClinicalFacts", "clinical_facts", "evaluate"]
