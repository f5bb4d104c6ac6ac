"""Measurements, never tests: every figure is a ratio to something fixed, taken in one interleaved run."""
