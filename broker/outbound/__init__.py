"""Requests to URLs that strangers name: metadata documents and key sets of clients (security rules D3 to D6, D9, D10, D12)."""

from broker.outbound.fetcher import Fetched, FetchFailed, GuardedFetcher
from broker.outbound.remembered import Remembered

__all__ = ["FetchFailed", "Fetched", "GuardedFetcher", "Remembered"]
