"""Images at addresses: buckets and web servers. Start at `extract.inputs.remote.listing`."""
