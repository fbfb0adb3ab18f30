//! `countersign mqtt …`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Subcommand;

use super::ca_rotate_arguments::seconds;
use crate::config::{ConfigFlags, DRIVER};

/// `mqtt …`.
#[derive(Debug, Subcommand)]
pub(super) enum MqttCommand {
    /// Write what a Mosquitto needs that serves devices on a port of its own, and keep it up to date
    #[command(
        after_help = "It writes countersign.conf, to be included by Mosquitto's configuration, and beside it the server's\n\
                      certificate, the device CAs and their revocation lists: checked, put in place as one, and Mosquitto\n\
                      is told. Run it by a timer, or with --watch. Listeners that are there stay as they are.\n\n\
                      Example:\n  countersign mqtt mosquitto-config --dir /etc/mosquitto/countersign --dns mqtt.example.com --service ingest --token-file rotate.token --pid-file /run/mosquitto/mosquitto.pid --watch"
    )]
    MosquittoConfig(Box<MosquittoConfigArguments>),
}

/// `mqtt mosquitto-config`.
#[derive(Debug, clap::Args)]
pub(super) struct MosquittoConfigArguments {
    /// Where everything is written; what is in it belongs to whoever owns it, which is to be Mosquitto's user
    #[arg(long, value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// The address of the listener for devices
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8883")]
    pub(super) listen: SocketAddr,
    /// A name in the server's certificate; repeatable
    #[arg(long, value_name = "NAME")]
    pub(super) dns: Vec<String>,
    /// An address in the server's certificate; repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ip: Vec<IpAddr>,
    /// The server's certificate, when it is not to be issued here; with --key
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with_all = ["dns", "ip", "token_file"])]
    pub(super) cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) key: Option<PathBuf>,
    /// A file with an admin's token, or an API token of an admin with the scopes service-certificates:read and
    /// service-certificates:write, to issue the server's certificate
    #[arg(long, value_name = "FILE", required_unless_present = "cert")]
    pub(super) token_file: Option<PathBuf>,
    /// The user name of a service at the other listeners, which may then write and read below --topics;
    /// repeatable
    #[arg(long = "service", value_name = "NAME", value_parser = service_name)]
    pub(super) services: Vec<String>,
    /// Where the topics of devices are
    #[arg(long, value_name = "FILTER", default_value = "tenant/#")]
    pub(super) topics: String,
    /// A device CA that does not say that it is one, PEM; repeatable
    #[arg(long = "device-ca", value_name = "FILE")]
    pub(super) device_cas: Vec<PathBuf>,
    /// Mosquitto's configuration, which is read and never written; left alone when it is not there
    #[arg(long, value_name = "FILE", default_value = "/etc/mosquitto/mosquitto.conf")]
    pub(super) mosquitto_conf: PathBuf,
    /// The dynamic-security plugin; looked for when absent
    #[arg(long, value_name = "FILE")]
    pub(super) plugin: Option<PathBuf>,
    /// The account that commands the plugin: mosquitto.user of the server's configuration
    #[arg(long, value_name = "NAME", default_value = DRIVER, value_parser = service_name)]
    pub(super) user: String,
    /// The file with Mosquitto's process id: it is sent SIGHUP when something changed
    #[arg(long, value_name = "FILE", conflicts_with = "reload")]
    pub(super) pid_file: Option<PathBuf>,
    /// Run by sh when something changed, instead
    #[arg(long, value_name = "COMMAND")]
    pub(super) reload: Option<String>,
    /// Go on, and look for what is new every --interval
    #[arg(long)]
    pub(super) watch: bool,
    /// How often: seconds, or with m, h or d behind
    #[arg(long, value_name = "TIME", default_value = "10", value_parser = seconds, requires = "watch")]
    pub(super) interval: u64,
    /// Print JSON, an object a run
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// A user name that is no device's, and one word in Mosquitto's files.
fn service_name(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("letters, digits, dots, dashes and underscores".to_owned())
    }
}
