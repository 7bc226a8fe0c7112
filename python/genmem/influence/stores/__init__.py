"""Factors that outlive their capture: files, blocks, and scores without the model."""
