"""What people look at: light curves in flux and magnitude, plots, images."""
