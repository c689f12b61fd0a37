"""TaxonomyError is the only error of this package: the shipped data is not what the release says it is."""

from __future__ import annotations


class TaxonomyError(Exception):
    """A data file is damaged, incomplete, or of another release than the digests beside it."""
