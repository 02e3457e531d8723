"""Steps as containers of a Docker engine, over its HTTP API and on the event loop: no thread waits for a container."""
