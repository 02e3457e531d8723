"""The commands ``runs`` and ``workspace``: what people do to runs and to what they left."""
