"""TAXII 2.1 (OASIS, June 2021): collections that unmodified clients poll, and one that analysts' tools write to.

One API root. `indicators` is read; so is every saved filter, as a collection of its own; `definitions` holds the
objects that never change; `contributions` takes opinions, sightings and indicators.

An indicator and the objects about it change together and are served together, as a group. `date_added` is the instant
of the change, in strictly increasing milliseconds from group to group, and within a group by a microsecond each, the
last object on the whole millisecond: `added_after` with the header of the last page gives exactly what is new, also
where a client keeps milliseconds only. Only the newest version of an object is kept.
"""

from ioint_node.web.taxii.asking import ROOT
from ioint_node.web.taxii.doors import routes
from ioint_node.web.taxii.shelf import CONTRIBUTIONS, DEFINITIONS, INDICATORS

__all__ = ["CONTRIBUTIONS", "DEFINITIONS", "INDICATORS", "ROOT", "routes"]
