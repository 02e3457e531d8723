"""A run as one page of HTML that needs no network: its parts are inlined, and what comes from the run is data."""
