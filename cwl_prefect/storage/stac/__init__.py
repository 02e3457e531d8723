"""Catalogs of Earth observation (STAC, SpatioTemporal Asset Catalogs): as inputs, and as results that are delivered.

Documents of catalogs are never trusted. pystac is imported when a catalog is read.
"""
