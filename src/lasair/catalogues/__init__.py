"""Catalogues of the sky: described by a manifest, built once, mapped read-only by any number of processes."""
