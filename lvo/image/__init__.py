"""Preparation of a head CT: resample, brain mask, atlas pose, mid-plane. Arrays in, arrays out; no files but the atlas."""
