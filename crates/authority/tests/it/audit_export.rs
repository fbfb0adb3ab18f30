//! A copy of the audit holds every entry, is checked without the database, and shows what was changed.

use countersign_authority::anchor_check::{AnchorFault, Became};
use countersign_authority::audit::{AuditFilter, ChainScope};
use countersign_authority::audit_export::{AuditExport, ExportFormat, check_export};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_store::Role;

use super::house::House;

async fn copied(mut export: AuditExport) -> (String, usize) {
    let (mut whole, mut pieces) = (String::new(), 0);
    while let Some(piece) = export.next_piece().await.unwrap() {
        assert!(piece.lines().count() <= 1001, "a piece is a page");
        whole.push_str(&piece);
        pieces += 1;
    }
    (whole, pieces)
}

async fn export(house: &House, format: ExportFormat) -> String {
    let filter = AuditFilter::default();
    copied(house.authority.export_audit(&house.view(), (filter, format)).await.unwrap()).await.0
}

async fn entries(house: &House, tenant: &str, count: usize) {
    let (slug, now) = (tenant.parse().unwrap(), house.now());
    house
        .write(move |w| {
            Box::pin(async move {
                for number in 0..count {
                    let tenant = Some(countersign_core::ids::Tenant::clone(&slug));
                    let entry = AuditEntry::new(tenant, now, AuditEvent::LoginFailed, Actor::System);
                    w.append_audit(&entry.detail("text", format!("=1+{number}, \"ä\"\n"))).await?;
                }
                Ok(())
            })
        })
        .await;
}

#[tokio::test]
async fn a_long_log_is_copied_page_by_page_and_fits_its_anchor() {
    let house = House::new().await;
    entries(&house, "default", 2_500).await;
    let anchor = house.authority.anchor(&house.operate()).await.unwrap();
    let begun = house
        .authority
        .export_audit(&house.view(), (AuditFilter::default(), ExportFormat::JsonLines))
        .await
        .unwrap();
    entries(&house, "default", 5).await;
    let (whole, pieces) = copied(begun).await;
    assert!((3..=4).contains(&pieces), "{pieces}");
    let report = check_export(whole.as_bytes(), std::slice::from_ref(&anchor), Some(anchor.key())).unwrap();
    assert_eq!((report.broken, report.faults, report.outside), (None, vec![], 0));
    let [platform, tenant] = report.chains.as_slice() else { panic!("{:?}", report.chains) };
    assert_eq!((platform.chain.as_str(), tenant.chain.as_str(), tenant.last), ("", "default", 2_500));
    let told = AuditFilter { event: Some(AuditEvent::AuditExported), ..AuditFilter::default() };
    assert_eq!(house.audit(told).await.len(), 1, "who took a copy is on record");
}

#[tokio::test]
async fn what_was_changed_in_a_copy_is_found() {
    let house = House::new().await;
    entries(&house, "default", 6).await;
    let anchor = house.authority.anchor(&house.operate()).await.unwrap();
    let whole = export(&house, ExportFormat::JsonLines).await;
    let lines: Vec<&str> = whole.lines().collect();
    let of_tenant = |line: &&str| line.contains("\"chain\":\"default\"");
    let tail = lines.iter().rposition(of_tenant).unwrap();
    let but = |place: usize| {
        let kept = lines.iter().enumerate().filter(|(number, _)| *number != place);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let check = |text: &str| check_export(text.as_bytes(), std::slice::from_ref(&anchor), None).unwrap();

    let altered = check(&whole.replace("=1+2", "=1+7")).broken.unwrap();
    assert_eq!(
        (altered.0.as_str(), altered.1, altered.2),
        ("default", 3, "its content is not what was hashed")
    );
    let missing = check(&but(tail - 2)).broken.unwrap();
    assert_eq!(missing.2, "the entry before it is missing");
    let cut = check(&but(tail));
    assert_eq!(cut.broken, None);
    let [AnchorFault::Chain(fault)] = cut.faults.as_slice() else { panic!("{:?}", cut.faults) };
    assert_eq!((fault.became, fault.from, fault.sequence), (Became::Cut, 6, 6));
    assert!(check_export(&b"{\"chain\":1}\n"[..], &[], None).is_err());
}

#[tokio::test]
async fn a_part_of_a_chain_is_checked_as_far_as_it_goes() {
    let house = House::new().await;
    entries(&house, "default", 3).await;
    let old = house.authority.anchor(&house.operate()).await.unwrap();
    house.pass(super::house::HOUR);
    entries(&house, "default", 3).await;
    let filter = AuditFilter { since: Some(house.now()), ..AuditFilter::default() };
    let export =
        house.authority.export_audit(&house.view(), (filter, ExportFormat::JsonLines)).await.unwrap();
    let report = check_export(copied(export).await.0.as_bytes(), &[old], None).unwrap();
    assert_eq!((report.broken, report.faults), (None, vec![]));
    assert_eq!(report.chains[0].first, 4);
    assert_eq!(report.outside, 2, "what was anchored is before what was copied");
}

#[tokio::test]
async fn a_caller_bound_to_a_tenant_gets_that_chain_alone() {
    let house = House::new().await;
    house.device("pump").await;
    let tenant = house.authority.find_tenant(&house.view(), "default").await.unwrap().id;
    let bound = house.person(Role::Viewer, Some(tenant)).await;
    let filter = AuditFilter { scope: ChainScope::Platform, ..AuditFilter::default() };
    let by = bound.authorize().unwrap();
    let export = house.authority.export_audit(&by, (filter, ExportFormat::JsonLines)).await.unwrap();
    let whole = copied(export).await.0;
    assert!(whole.lines().count() > 1);
    assert!(whole.lines().all(|line| line.contains("\"chain\":\"default\"")), "{whole}");
}

#[tokio::test]
async fn a_spreadsheet_takes_no_cell_for_a_formula() {
    let house = House::new().await;
    entries(&house, "default", 1).await;
    let csv = export(&house, ExportFormat::Csv).await;
    let (head, rest) = csv.split_once("\r\n").unwrap();
    assert_eq!(head, "chain,sequence,at,event,actor,deviceId,certificateId,details,previousHash,hash");
    assert!(rest.contains(r#""{""text"":""=1+0, \""ä\""\n""}""#), "{rest}");
    assert!(rest.lines().all(|row| row.starts_with('"')), "{rest}");
}
