"""Readers of files of truth: one file a source."""
