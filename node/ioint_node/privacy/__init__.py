"""What may leave: the release gate (`gate`), the check of the bytes that leave (`egress`), and why each is safe (`explain`)."""
