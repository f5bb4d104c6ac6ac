"""
Venues: the protocol of an adapter, the gateway between an OMS and a venue, and the adapters that are shipped.

May import: api and the packages that it imports.
"""

from oms_es.venues.calls import Pacing
from oms_es.venues.contract import Connected, Instrument, Refused, Unsure, Venue
from oms_es.venues.gateway import Gateway
from oms_es.venues.status import Break, GatewayStatus

__all__ = ["Break", "Connected", "Gateway", "GatewayStatus", "Instrument", "Pacing", "Refused", "Unsure", "Venue"]
