//! nginx: `ngx_http_ssl_module` in front of `ngx_http_proxy_module`.

use std::net::SocketAddr;
use std::path::Path;

use crate::client::Profile;
use crate::site::Site;

/// Version and TLS library, from what `nginx -V` says.
pub(super) fn version(said: &str) -> String {
    let after = |mark| said.lines().find_map(|line| line.split_once(mark)).map(|(_, rest)| rest.trim());
    let version = after("nginx version: nginx/").unwrap_or("?");
    let library = after("running with ").map(|rest| rest.trim_end_matches(')'));
    let library = library.or_else(|| after("built with OpenSSL")).unwrap_or("?");
    format!("{version} ({library})")
}

pub(super) fn configuration(site: &Site, profile: Profile, address: SocketAddr) -> String {
    let (tls, proxying, log) = match profile {
        Profile::LikeForLike => (LIKE_FOR_LIKE_TLS, LIKE_FOR_LIKE_PROXYING, "off"),
        Profile::AsTheyCome => (DEBIAN_TLS, "", "access.log combined"),
    };
    let keepalive = if profile == Profile::LikeForLike { "keepalive 64;" } else { "" };
    format!(
        r#"daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
error_log error.log;
pid nginx.pid;
events {{ worker_connections 60000; }}
http {{
    access_log {log};
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    upstream app {{ server {upstream}; {keepalive} }}
    server {{
        listen {address} ssl http2 backlog=4096;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_client_certificate {cas};
        ssl_verify_client on;
        ssl_verify_depth 3;
        keepalive_timeout 600s;
        {tls}
        location / {{
            proxy_pass http://app;
            {proxying}
        }}
    }}
}}
"#,
        upstream = site.upstream,
        chain = site.server_chain().display(),
        key = site.server_key().display(),
        cas = site.device_cas().display(),
    )
}

/// Where Debian's package `libnginx-mod-stream` puts what is needed for TCP.
const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// `ngx_stream_ssl_module` in front of `ngx_stream_proxy_module`; `None` when Debian's package of it is not
/// installed.
pub(super) fn tcp_configuration(site: &Site, upstream: SocketAddr, address: SocketAddr) -> Option<String> {
    Path::new(STREAM).is_file().then(|| {
        format!(
            "load_module {STREAM};
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
error_log error.log;
pid nginx.pid;
events {{ worker_connections 60000; }}
stream {{
    server {{
        listen {address} ssl backlog=4096;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_client_certificate {cas};
        ssl_verify_client on;
        ssl_verify_depth 3;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;
        ssl_ecdh_curve X25519:prime256v1;
        proxy_pass {upstream};
    }}
}}
",
            chain = site.server_chain().display(),
            key = site.server_key().display(),
            cas = site.device_cas().display(),
        )
    })
}

/// AES-128 first and one ticket.
const LIKE_FOR_LIKE_TLS: &str = "ssl_protocols TLSv1.2 TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;
        ssl_conf_command NumTickets 1;
        ssl_ecdh_curve X25519:prime256v1;
        keepalive_requests 1000000000;";

/// What Debian's own `nginx.conf` says.
const DEBIAN_TLS: &str = "ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
        ssl_prefer_server_ciphers on;";

/// Connections to the upstream are kept, and it hears who is there.
const LIKE_FOR_LIKE_PROXYING: &str = r#"proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-SSL-Client-Subject $ssl_client_s_dn;
            proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;"#;
