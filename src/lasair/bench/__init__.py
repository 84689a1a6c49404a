"""How fast every stage is, in CPU time: workloads, measurements, the report."""
