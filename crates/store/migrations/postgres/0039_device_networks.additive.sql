-- The networks in which devices were heard of, of those that moved while somebody wanted to know.

CREATE TABLE device_networks (
    device_id uuid NOT NULL REFERENCES public.devices (id),
    network   text COLLATE "C" NOT NULL, -- IPv4 /24 or IPv6 /48
    came_at   timestamptz, -- null: it was there before anybody wanted to know
    PRIMARY KEY (device_id, network)
);
CREATE INDEX device_networks_came_idx ON device_networks (came_at) WHERE came_at IS NOT NULL;
