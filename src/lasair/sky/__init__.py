"""Positions on the sky: pixel ids, separations, Galactic coordinates and extinction."""
