"""Stores: light curves, cutouts and objects, each a Protocol with engines that pass one contract suite."""
