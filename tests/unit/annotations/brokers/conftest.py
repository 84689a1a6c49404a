from tests.support.data import DATA

#: Tests on messages and replies as recorded need the sample data.
collect_ignore = [] if DATA and (DATA / "brokers").is_dir() else ["test_recorded.py"]
