"""Simulated skies and their alert packets: objects, visits, light curves, images, faults, truth."""
