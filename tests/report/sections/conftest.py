from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("plotly") else ["test_*.py"]  # hugraph[figures] is not there
