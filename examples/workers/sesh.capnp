# Sesh-Tracker.com: whatever it fetches goes to the egress, with the `cf` of the fetch in a header.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    ( name = "sesh",
      worker = (
        modules = [ ( name = "sesh.js", esModule = embed "sesh.js" ) ],
        compatibilityDate = "2025-09-01",
        bindings = [ ( name = "KUSH_MTLS_CERT_ID", text = "sesh-tracker" ) ],
        globalOutbound = "egress",
      ) ),
    ( name = "egress", external = ( http = ( style = host, cfBlobHeader = "CF-Blob" ) ) ),
  ],
  sockets = [ ( name = "http", address = "127.0.0.1:0", http = (), service = "sesh" ) ],
);
