//! `/console/rules/edit`: adding, changing and removing a rule of the database. What is wrong with it is shown with a
//! caret under the place, and nothing changes.

use axum::extract::State;
use axum::response::Response;
use countersign_authority::rules::kept::{KeptRule, RuleEdit, RuleUse};
use countersign_authority::{Administer, View};
use countersign_core::snapshot::RuleAction;
use maud::{Markup, html};

use crate::admin::rules::{change, rule};
use crate::console::error_page::Rendered;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::layout::page;
use crate::console::parts::{applied, head, problems};
use crate::console::visit::Visit;
use crate::failure::{Failure, Outcome};
use crate::request::QueryFields;
use crate::state::ControlPlane;

const RULES: &str = "/console/rules";

/// What stands in the form.
#[derive(Default)]
struct Entry {
    /// The rule that is changed; empty: a new one.
    old: String,
    name: String,
    expression: String,
    action: String,
    status: String,
    body: String,
    is_disabled: bool,
    revision: String,
}

impl Entry {
    fn of(rule: &KeptRule, revision: u64) -> Self {
        let (action, status, body) = match &rule.source.action {
            RuleAction::Block(response) => {
                let body = response.body.as_ref().map(|(body, _media)| body.clone());
                ("block", response.status.to_string(), body.unwrap_or_default())
            }
            RuleAction::Log => ("log", String::new(), String::new()),
            RuleAction::Skip => ("skip", String::new(), String::new()),
        };
        Self {
            old: rule.source.name.clone(),
            name: rule.source.name.clone(),
            expression: rule.source.expression.clone(),
            action: action.to_owned(),
            status,
            body,
            is_disabled: rule.used == RuleUse::Disabled,
            revision: revision.to_string(),
        }
    }

    fn given(form: &Form) -> Self {
        let value = |name: &str| form.first(name).unwrap_or("").to_owned();
        Self {
            old: value("old"),
            name: value("name"),
            expression: value("expression"),
            action: value("action"),
            status: value("status"),
            body: value("body"),
            is_disabled: form.is_ticked("disabled"),
            revision: value("revision"),
        }
    }
}

/// The form, empty or with the rule that the query names.
pub(in crate::console) async fn form(
    State(state): State<ControlPlane>,
    visit: Visit,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Response> {
    visit.may::<Administer>()?.covers_all()?;
    let name = fields.text("name", 120);
    fields.finish()?;
    let rules = state.authority.kept_rules().await.map_err(|error| Failure::internal(&error))?;
    let entry = match name {
        None => Entry { revision: rules.revision.to_string(), ..Entry::default() },
        Some(name) => {
            let found = rules.kept.iter().find(|rule| rule.source.name == name);
            Entry::of(found.ok_or_else(|| Failure::not_found("rule"))?, rules.revision)
        }
    };
    Ok(shown(&visit, &entry, None))
}

/// Adds, changes or removes.
pub(in crate::console) async fn save(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    by.covers_all()?;
    let done = match read(&form) {
        Ok(edit) => change(&state, &by, edit).await,
        Err(failure) => Err(failure),
    };
    match done {
        Ok((_revision, done)) => {
            let told = format!("The rules are changed. {}", applied(done));
            Ok(Flash::new(Tone::Good, told).then(RULES))
        }
        Err(failure) if failure.status.is_client_error() => {
            let page = shown(&visit, &Entry::given(&form), Some(&failure));
            Ok(Rendered::instead(failure, page))
        }
        Err(failure) => Err(failure),
    }
}

fn read(form: &Form) -> Outcome<(RuleEdit, Option<u64>)> {
    let mut fields = form.fields(&["act", "disabled"]);
    let old = fields.text("old", 120);
    let seen = fields.parsed::<u64>("revision");
    let status = fields.read("status", |text| match text.parse() {
        Ok(status @ 400..=599) => Ok(status),
        Ok(_) | Err(_) => Err("must be 400 to 599"),
    });
    if form.first("act") == Some("remove") {
        let name = old.ok_or_else(|| Failure::invalid_field("old", "is missing"))?;
        return Ok((RuleEdit::Remove(name), seen));
    }
    let used = if form.is_ticked("disabled") { RuleUse::Disabled } else { RuleUse::Enabled };
    let rule = rule(fields, status, used)?;
    Ok(match old {
        Some(old) => (RuleEdit::Replace(old, rule), seen),
        None => (RuleEdit::Add(rule, None), seen),
    })
}

fn shown(visit: &Visit, entry: &Entry, failure: Option<&Failure>) -> Response {
    let is_new = entry.old.is_empty();
    let title = if is_new { "Add a rule".to_owned() } else { format!("Change the rule {}", entry.old) };
    let line = "It is asked behind the rules of the configuration, at every door, as soon as it is saved.";
    let body = html! {
        (head(&title, line, html! {}))
        (faults(failure))
        form class="panel narrow" method="post" action="/console/rules/edit" {
            (visit.csrf())
            input type="hidden" name="old" value=(entry.old);
            input type="hidden" name="revision" value=(entry.revision);
            div class="field" {
                label for="name" { "Name" }
                input id="name" name="name" required maxlength="120" value=(entry.name);
            }
            div class="field" {
                label for="expression" { "Expression" }
                textarea id="expression" name="expression" rows="5" required maxlength="4096" spellcheck="false" {
                    (entry.expression)
                }
                p class="hint" { "In Cloudflare’s language. The bench below the list tries it on a request first." }
            }
            div class="fields" {
                div class="field" {
                    label for="action" { "Does" }
                    select id="action" name="action" {
                        @for (word, said) in [("block", "blocks"), ("log", "writes down and goes on"), ("skip", "skips the rest")] {
                            option value=(word) selected[entry.action == word] { (said) }
                        }
                    }
                }
                div class="field" {
                    label for="status" { "Status of a block" }
                    input id="status" name="status" type="number" min="400" max="599" value=(entry.status) placeholder="403";
                }
            }
            div class="field" {
                label for="body" { "Body of a block" }
                textarea id="body" name="body" rows="2" maxlength="4096" spellcheck="false" { (entry.body) }
                p class="hint" { "Empty: the standard error body." }
            }
            div class="field check" {
                input id="disabled" name="disabled" type="checkbox" checked[entry.is_disabled];
                label for="disabled" { "Keep it without asking it" }
            }
            div class="actions" {
                button class="primary" name="act" value="save" { "Save" }
                @if !is_new { button class="danger" name="act" value="remove" formnovalidate { "Remove it" } }
                a class="button quiet" href=(RULES) { "Cancel" }
            }
        }
    };
    page(visit, &title, &body)
}

/// What is wrong; a fault of the expression with a caret under its place.
fn faults(failure: Option<&Failure>) -> Markup {
    let fault = failure.and_then(|failure| failure.body.fields.get("expression"));
    match fault.filter(|fault| fault.contains('\n')) {
        Some(fault) => html! {
            div class="notice bad" role="alert" {
                p { "This is not right yet. Nothing was changed." }
                pre class="fault" { (fault) }
            }
        },
        None => problems(failure),
    }
}

/// The rules of the database, with a way to change each, for whoever may.
pub(super) async fn kept(state: &ControlPlane, visit: &Visit) -> Outcome<Markup> {
    visit.may::<View>()?;
    let rules = state.authority.kept_rules().await.map_err(|error| Failure::internal(&error))?;
    let may = visit.can::<Administer>() && visit.is_unbound();
    Ok(html! {
        section class="panel" {
            div class="panel-head" {
                h2 { "Kept in the database" }
                @if visit.is_unbound() { a class="button" href="/console/rules/revisions" { "Revisions" } }
                @if may { a class="button primary" href="/console/rules/edit" { "Add a rule" } }
            }
            @if rules.kept.is_empty() {
                p class="calm" { "None. Those that are added here come behind those of the configuration." }
            }
            ul class="rows" {
                @for rule in &rules.kept {
                    li {
                        div {
                            strong { (rule.source.name) }
                            @if rule.used == RuleUse::Disabled { span class="soft" { " not asked" } }
                            p class="soft" { code { (rule.source.expression) } }
                        }
                        @if may {
                            a class="button" href={ "/console/rules/edit?" (query(&rule.source.name)) } {
                                "Change" span class="spoken" { " " (rule.source.name) }
                            }
                        }
                    }
                }
            }
        }
    })
}

fn query(name: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("name", name).finish()
}
