"""Datasets: read, drawn, filtered, split and described."""
