"""What the node remembers: tables (`schema`), the one writer (`engine`), and functions over connections."""
