"""`ioint simulate`: the rule as it is shipped, in worlds that attack it, beside what others use."""
