"""How much a pattern or subject is believed: the network part (`rule`), the local part (`gate`), the view in memory."""
