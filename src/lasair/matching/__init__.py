"""What alerts and stored objects lie in: cones of watchlists, areas, sky maps of events; and what lies at one place."""
