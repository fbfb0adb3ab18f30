//! Which account and role a device has at the broker, and what the plugin is told to make it so.

use std::collections::{HashMap, HashSet};

use countersign_authority::brokered::BrokeredDevice;
use countersign_core::identity::{Identity, TrustDomain};
use countersign_edge::mqtt::Layout;
use serde_json::{Value, json};

/// What the names of our roles begin with: accounts with such a role are ours, others are left alone.
const OURS: &str = "countersign:";

/// The role of those who may nothing. An account that were only deleted would fall through to the broker's
/// own list of rights, which may have lines for everybody.
const NOBODY: &str = "countersign:nobody";

/// Above the denial of everything.
const GRANTED: i32 = 0;
const DENIED: i32 = -1;

/// What is kept at the broker for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Account {
    /// It may what the layout says.
    Open,
    /// It may nothing.
    Shut,
    /// It is ours, and neither.
    Odd,
}

/// What has to be said, and whose sessions end by it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) commands: Vec<Value>,
    /// Devices that fell: their user names and prefixes.
    pub(super) fallen: Vec<(String, String)>,
    /// Other devices whose live sessions are ended.
    pub(super) kicked: Vec<String>,
}

/// The accounts at the broker, by user name.
#[derive(Debug)]
pub(super) struct Accounts {
    layout: Layout,
    domain: TrustDomain,
    /// Changes with the layout: a role of another layout is another role.
    layout_mark: String,
    known: HashMap<String, Account>,
    roles: HashSet<String>,
    /// How many certificates of a device were revoked when its sessions last ended.
    revoked: HashMap<String, u32>,
}

impl Accounts {
    /// What to ask to know them.
    pub(super) fn questions() -> Vec<Value> {
        vec![
            json!({ "command": "listClients", "verbose": true, "count": -1, "offset": 0 }),
            json!({ "command": "listRoles", "verbose": false, "count": -1, "offset": 0 }),
        ]
    }

    /// From the answers.
    pub(super) fn read(answers: &[Value], layout: Layout, domain: TrustDomain) -> Self {
        let listed = |name: &str| {
            let found = answers.iter().filter_map(|answer| answer.get("data")?.get(name)?.as_array());
            found.flatten().cloned().collect::<Vec<Value>>()
        };
        let roles = listed("roles").into_iter().filter_map(|role| Some(role.as_str()?.to_owned())).collect();
        let layout_mark = mark_of(&layout);
        let mut known = HashMap::new();
        for client in listed("clients") {
            let Some(name) = client.get("username").and_then(Value::as_str) else { continue };
            let roles = client.get("roles").and_then(Value::as_array).into_iter().flatten();
            let roles: Vec<&str> = roles.filter_map(role_in).collect();
            if !roles.iter().any(|role| role.starts_with(OURS)) {
                continue;
            }
            let is_disabled = client.get("disabled").and_then(Value::as_bool).unwrap_or(false);
            let account = match (roles.as_slice(), is_disabled) {
                ([NOBODY], true) => Account::Shut,
                ([role], false) if *role == role_of(name, &layout_mark) => Account::Open,
                _ => Account::Odd,
            };
            known.insert(name.to_owned(), account);
        }
        Self { layout, domain, layout_mark, known, roles, revoked: HashMap::new() }
    }

    /// The role of those who may nothing, if it is not there yet.
    pub(super) fn first(&mut self) -> Vec<Value> {
        if !self.roles.insert(NOBODY.to_owned()) {
            return Vec::new();
        }
        vec![json!({ "command": "createRole", "rolename": NOBODY, "acls": denials() })]
    }

    /// What makes the broker as the devices are; those that are not among them are taken away.
    pub(super) fn all(&mut self, devices: &[BrokeredDevice]) -> Plan {
        let wanted: HashSet<String> = devices.iter().map(|device| self.user_name(device)).collect();
        let mut plan = Plan::default();
        let gone: Vec<String> = self.known.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        for name in gone {
            self.remove(&name, &mut plan);
        }
        let some = self.some(devices);
        plan.commands.extend(some.commands);
        Plan { commands: plan.commands, ..some }
    }

    /// What makes the broker as these devices are. Those that fell come first.
    pub(super) fn some(&mut self, devices: &[BrokeredDevice]) -> Plan {
        let mut plan = Plan::default();
        for device in devices.iter().filter(|device| !device.is_served) {
            let name = self.user_name(device);
            if device.is_about { self.shut(device, name, &mut plan) } else { self.remove(&name, &mut plan) }
        }
        for device in devices.iter().filter(|device| device.is_served) {
            self.open(device, &mut plan);
        }
        plan
    }

    /// The CN in its certificates.
    fn user_name(&self, device: &BrokeredDevice) -> String {
        Identity::new(self.domain.clone(), device.tenant.clone(), device.name.clone()).common_name()
    }

    fn prefix(&self, device: &BrokeredDevice) -> String {
        self.layout.prefix_of(&(device.tenant.clone(), device.name.clone()))
    }

    fn shut(&mut self, device: &BrokeredDevice, name: String, plan: &mut Plan) {
        self.revoked.insert(name.clone(), device.revoked);
        let before = self.known.insert(name.clone(), Account::Shut);
        if before == Some(Account::Shut) {
            return;
        }
        plan.commands.push(with_role(before, &name, NOBODY));
        plan.commands.push(json!({ "command": "disableClient", "username": name }));
        plan.fallen.push((name, self.prefix(device)));
    }

    fn remove(&mut self, name: &str, plan: &mut Plan) {
        self.revoked.remove(name);
        if self.known.remove(name).is_some() {
            plan.commands.push(json!({ "command": "deleteClient", "username": name }));
        }
        let role = role_of(name, &self.layout_mark);
        if self.roles.remove(&role) {
            plan.commands.push(json!({ "command": "deleteRole", "rolename": role }));
        }
    }

    fn open(&mut self, device: &BrokeredDevice, plan: &mut Plan) {
        let name = self.user_name(device);
        let role = role_of(&name, &self.layout_mark);
        if self.roles.insert(role.clone()) {
            let acls = self.rights(&self.prefix(device));
            plan.commands.push(json!({ "command": "createRole", "rolename": role, "acls": acls }));
        }
        let before = self.known.insert(name.clone(), Account::Open);
        let ended = self.revoked.insert(name.clone(), device.revoked).unwrap_or(0);
        if before != Some(Account::Open) {
            plan.commands.push(with_role(before, &name, &role));
            if before.is_some() {
                plan.commands.push(json!({ "command": "enableClient", "username": name }));
            }
        } else if device.revoked > ended {
            // One of its certificates was revoked: whichever session has it ends, and the others come again.
            plan.commands.push(json!({ "command": "disableClient", "username": name }));
            plan.commands.push(json!({ "command": "enableClient", "username": name }));
            plan.kicked.push(name);
        }
    }

    fn rights(&self, prefix: &str) -> Vec<Value> {
        let mut acls = denials();
        let mut grant = |kind: &str, topic: &str| {
            let topic = format!("{prefix}{topic}");
            acls.push(json!({ "acltype": kind, "topic": topic, "priority": GRANTED, "allow": true }));
        };
        for filter in self.layout.write() {
            grant("publishClientSend", filter.as_str());
        }
        for filter in self.layout.read() {
            let text = filter.as_str();
            let kind = if text.contains(['+', '#']) { "subscribePattern" } else { "subscribeLiteral" };
            grant("publishClientReceive", text);
            grant(kind, text);
        }
        acls
    }
}

/// Everything that an account could do, denied, so that no list of rights is asked after it.
fn denials() -> Vec<Value> {
    ["publishClientSend", "publishClientReceive", "subscribePattern"]
        .map(|kind| json!({ "acltype": kind, "topic": "#", "priority": DENIED, "allow": false }))
        .to_vec()
}

fn role_in(role: &Value) -> Option<&str> {
    role.get("rolename")?.as_str()
}

fn role_of(name: &str, mark: &str) -> String {
    format!("{OURS}{mark}:{name}")
}

/// A short name for a layout.
fn mark_of(layout: &Layout) -> String {
    let filters = layout.write().iter().chain(layout.read());
    let mut text: Vec<String> = filters.map(ToString::to_string).collect();
    text.push(layout.text().to_owned());
    text.push(layout.write().len().to_string());
    // Not a secret and not a signature: a name that is another for another layout.
    let hash = text.join("\n").bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn with_role(before: Option<Account>, name: &str, role: &str) -> Value {
    let command = if before.is_some() { "modifyClient" } else { "createClient" };
    json!({ "command": command, "username": name, "roles": [{ "rolename": role, "priority": 0 }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::ids::DeviceId;

    fn device(name: &str, is_served: bool, revoked: u32) -> BrokeredDevice {
        BrokeredDevice {
            id: DeviceId::random(),
            tenant: "acme".parse().unwrap(),
            name: name.parse().unwrap(),
            is_served,
            revoked,
            is_about: is_served || revoked > 0,
        }
    }

    fn nothing_there() -> Accounts {
        Accounts::read(&[], Layout::default(), TrustDomain::default())
    }

    fn said(plan: &Plan) -> Vec<String> {
        let of = |command: &Value| {
            let about = command["username"].as_str().or(command["rolename"].as_str().map(|_role| "role"));
            format!("{} {}", command["command"].as_str().unwrap(), about.unwrap())
        };
        plan.commands.iter().map(of).collect()
    }

    #[test]
    fn a_device_is_opened_once_shut_when_it_falls_and_opened_again() {
        let mut accounts = nothing_there();
        assert_eq!(accounts.first().len(), 1);
        assert!(accounts.first().is_empty());
        assert_eq!(
            said(&accounts.some(&[device("d1", true, 0)])),
            ["createRole role", "createClient acme/d1"]
        );
        assert!(accounts.some(&[device("d1", true, 0)]).commands.is_empty());
        let fell = accounts.some(&[device("d1", false, 1)]);
        assert_eq!(said(&fell), ["modifyClient acme/d1", "disableClient acme/d1"]);
        assert_eq!(fell.fallen, [("acme/d1".to_owned(), "tenant/acme/device/d1/".to_owned())]);
        let back = accounts.some(&[device("d1", true, 1)]);
        assert_eq!(said(&back), ["modifyClient acme/d1", "enableClient acme/d1"]);
    }

    #[test]
    fn those_that_fell_come_first() {
        let mut accounts = nothing_there();
        accounts.some(&[device("d1", true, 0)]);
        let plan = accounts.some(&[device("d2", true, 0), device("d1", false, 1)]);
        assert_eq!(said(&plan).first().unwrap(), "modifyClient acme/d1");
    }

    #[test]
    fn a_certificate_revoked_beside_another_ends_sessions_and_no_more() {
        let mut accounts = nothing_there();
        accounts.some(&[device("d1", true, 0)]);
        let plan = accounts.some(&[device("d1", true, 1)]);
        assert_eq!(said(&plan), ["disableClient acme/d1", "enableClient acme/d1"]);
        assert!(accounts.some(&[device("d1", true, 1)]).commands.is_empty());
    }

    #[test]
    fn what_is_there_is_left_and_what_is_not_ours_is_never_touched() {
        let mut before = nothing_there();
        let role = role_of("acme/d1", &before.layout_mark);
        let clients = json!([
            { "username": "acme/d1", "roles": [{ "rolename": role }] },
            { "username": "acme/gone", "roles": [{ "rolename": NOBODY }], "disabled": true },
            { "username": "service", "roles": [{ "rolename": "admin" }] },
            { "username": "acme/odd", "roles": [{ "rolename": role }] },
        ]);
        let answers =
            [json!({ "data": { "clients": clients } }), json!({ "data": { "roles": [role, NOBODY] } })];
        let mut accounts = Accounts::read(&answers, Layout::default(), TrustDomain::default());
        assert!(accounts.first().is_empty());
        let plan = accounts.all(&[device("d1", true, 0), device("odd", false, 1)]);
        assert_eq!(
            said(&plan),
            ["deleteClient acme/gone", "modifyClient acme/odd", "disableClient acme/odd"]
        );
        before.all(&[device("d1", true, 0)]);
        assert_eq!(said(&before.all(&[])), ["deleteClient acme/d1", "deleteRole role"]);
    }

    #[test]
    fn rights_are_those_of_the_layout_below_the_own_prefix() {
        let acls = nothing_there().rights("tenant/acme/device/d1/");
        let has = |kind: &str, topic: &str, allow: bool| {
            acls.iter().any(|acl| acl["acltype"] == kind && acl["topic"] == topic && acl["allow"] == allow)
        };
        assert!(has("publishClientSend", "tenant/acme/device/d1/telemetry/#", true));
        assert!(has("subscribeLiteral", "tenant/acme/device/d1/commands", true));
        assert!(has("subscribePattern", "tenant/acme/device/d1/jobs/#", true));
        assert!(has("publishClientSend", "#", false) && has("subscribePattern", "#", false));
        assert!(acls.iter().all(|acl| {
            let topic = acl["topic"].as_str().unwrap();
            topic == "#" || topic.starts_with("tenant/acme/device/d1/")
        }));
    }
}
