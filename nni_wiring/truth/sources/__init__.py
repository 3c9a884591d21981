"""Readers of files of truth: one file per source."""
