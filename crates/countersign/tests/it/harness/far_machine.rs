//! A machine apart, in a network of its own, joined to this one by a line that may lose packets or be cut.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

use countersign_testkit::vacant_address;

/// The network, gone with this.
pub(crate) struct FarMachine {
    name: String,
    near: Ipv4Addr,
    far: Ipv4Addr,
}

impl FarMachine {
    /// A new one. `None`, and said, where this user may not make networks.
    pub(crate) fn join() -> Option<Self> {
        // A loopback address that nobody else has names a network that nobody else has.
        let IpAddr::V4(own) = vacant_address().ip() else { return None };
        let [_, high, middle, low] = own.octets();
        let name = format!("cs{high:02x}{middle:02x}{low:02x}");
        let (near, far) = (
            Ipv4Addr::new(10, high, middle, low & 0xfc | 1),
            Ipv4Addr::new(10, high, middle, low & 0xfc | 2),
        );
        let machine = Self { name, near, far };
        if machine.make() {
            return Some(machine);
        }
        let mut log = std::io::stderr();
        writeln!(log, "left out: no network that loses packets can be made here, which only root may")
            .unwrap();
        None
    }

    fn make(&self) -> bool {
        let (here, there) = (self.line(), format!("{}f", self.name));
        let [near, far] = [self.near, self.far].map(|address| format!("{address}/30"));
        ip(&["netns", "add", &self.name])
            && ip(&["link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &self.name])
            && ip(&["addr", "add", &near, "dev", &here])
            && ip(&["link", "set", &here, "up"])
            && ip(&["-n", &self.name, "addr", "add", &far, "dev", &there])
            && ip(&["-n", &self.name, "link", "set", &there, "up"])
            && ip(&["-n", &self.name, "link", "set", "lo", "up"])
            && self.drops("OUTPUT", "-o", "0.00").is_ok()
    }

    /// The near end of the line.
    fn line(&self) -> String {
        format!("{}n", self.name)
    }

    /// This machine's address on the line.
    pub(crate) const fn near(&self) -> Ipv4Addr {
        self.near
    }

    /// Its own.
    pub(crate) const fn far(&self) -> Ipv4Addr {
        self.far
    }

    /// A program that runs there.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg(program);
        command
    }

    /// The line loses so many packets in a hundred, each way.
    pub(crate) fn loses(&self, percent: u32) {
        let probability = format!("{:.2}", f64::from(percent) / 100.0);
        for (chain, by_way_of) in [("INPUT", "-i"), ("OUTPUT", "-o")] {
            self.drops(chain, by_way_of, &probability).unwrap();
        }
    }

    /// A rule of the far kernel; what went wrong where it takes none.
    fn drops(&self, chain: &str, by_way_of: &str, probability: &str) -> Result<(), String> {
        let by_chance = ["-m", "statistic", "--mode", "random", "--probability", probability, "-j", "DROP"];
        let mut command = self.command("iptables");
        command.args(["-A", chain, "!", by_way_of, "lo"]).args(by_chance);
        let done = command.output().map_err(|error| error.to_string())?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }

    /// Nothing goes over the line, and nobody is told.
    pub(crate) fn part(&self) {
        assert!(ip(&["link", "set", &self.line(), "down"]));
    }

    /// The line is there again.
    pub(crate) fn mend(&self) {
        assert!(ip(&["link", "set", &self.line(), "up"]));
    }
}

impl Drop for FarMachine {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
    }
}

/// Whether it was done.
fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
