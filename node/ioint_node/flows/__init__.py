"""The story of the node: assess, publish, receive, believe. Start reading at `assess.py` and `receive.py`."""
