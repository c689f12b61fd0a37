"""What may leave, and when (`gate`); the last look at its bytes (`egress`); why each field is safe (`explain`)."""
