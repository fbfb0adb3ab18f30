# Kush.Observer behind the door: `request.cf` comes in the header that the door fills.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    ( name = "kush",
      worker = (
        modules = [ ( name = "kush.js", esModule = embed "kush.js" ) ],
        compatibilityDate = "2025-09-01",
      ) ),
  ],
  sockets = [
    ( name = "http", address = "127.0.0.1:0", http = ( cfBlobHeader = "CF-Blob" ), service = "kush" ),
  ],
);
