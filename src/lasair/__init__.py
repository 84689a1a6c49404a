"""Lasair: a transient alert broker for ZTF and Rubin LSST."""
