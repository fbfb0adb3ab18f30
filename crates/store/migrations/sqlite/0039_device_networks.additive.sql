-- The networks in which devices were heard of, of those that moved while somebody wanted to know.

CREATE TABLE device_networks (
    device_id TEXT NOT NULL REFERENCES devices (id),
    network   TEXT NOT NULL, -- IPv4 /24 or IPv6 /48
    came_at   INTEGER, -- null: it was there before anybody wanted to know
    PRIMARY KEY (device_id, network)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_networks_came_idx ON device_networks (came_at) WHERE came_at IS NOT NULL;
