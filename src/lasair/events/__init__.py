"""Multi-messenger events: notices of gravitational waves, bursts and neutrinos, and where to look."""
