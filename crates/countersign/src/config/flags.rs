//! The settings that can be given on the command line.

use std::path::PathBuf;

/// Flags of every command that reads the configuration; a flag wins over the environment, which
/// wins over the file.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigFlags {
    /// Configuration file, TOML; none is needed [env: COUNTERSIGN_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for keys, tokens and the embedded database
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Database, `sqlite:PATH` or `postgresql://USER@HOST/DATABASE`
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Dotted name under which identities live; fixed by the first start
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) trust_domain: Option<String>,
    /// Log lines as `text` or `json`, both to stderr
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Which log lines to write, such as `debug` or `warn,countersign_edge=debug`
    #[arg(long, value_name = "DIRECTIVES")]
    pub(crate) log_filter: Option<String>,
    /// Host name or address in the doors' certificate; repeatable
    #[arg(long = "public-name", value_name = "NAME")]
    pub(crate) public_names: Vec<String>,
    /// File to write the ports to, as JSON, once everything is ready
    #[arg(long, value_name = "FILE")]
    pub(crate) ports_file: Option<String>,
    /// Base of the URLs written into certificates, such as `http://pki.example.com`
    #[arg(long, value_name = "URL")]
    pub(crate) public_base_url: Option<String>,
    /// Address of the admin listener
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_admin: Option<String>,
    /// Let the admin listener, which is plain HTTP, listen beyond this machine
    #[arg(long)]
    pub(crate) danger_plain_admin: bool,
    /// `Host` name the admin listener answers to, besides its own; repeatable
    #[arg(long = "allowed-host", value_name = "NAME")]
    pub(crate) allowed_hosts: Vec<String>,
    /// Serve the admin routes behind the HTTP door too
    #[arg(long)]
    pub(crate) expose_admin_on_door: bool,
    /// Address of the HTTP door
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_http: Option<String>,
}
