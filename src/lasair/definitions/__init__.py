"""What people made: filters and their versions (Django), and snapshots of them (no Django)."""
