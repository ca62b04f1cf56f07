"""Baselines: networks that say from the angiogram alone whether an artery is occluded, to compare the pipeline with.

They are never loaded by the pipeline: no evidence comes with their answer, and nothing is registered or judged before it.
"""
