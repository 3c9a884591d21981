"""Selections: how a cell is read off a trained supernet."""
