"""Engines that make runs."""
