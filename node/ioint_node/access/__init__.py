"""What trust allows: budgets, grants and passes; pure."""
