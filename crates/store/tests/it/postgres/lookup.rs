//! By whatever a device is looked for, it is found as its row in the table `devices` says, whoever wrote that.

use sqlx::Executor as _;

use countersign_store::DeviceFilter;

use crate::on_postgres::fixture::{Fixture, read};

#[tokio::test]
async fn what_another_program_writes_is_found() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let mut intruder = fixture.intruder().await;
    let (agent, token) = ("ab".repeat(32), "cd".repeat(32));
    let change = format!("UPDATE public.devices SET agent_id = '{agent}', token_sha256 = '{token}'");
    intruder.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(change))).await.unwrap();
    let (agent, token) = (agent.parse().unwrap(), token.parse().unwrap());
    let by_agent = read!(fixture.store, |r| r.device_by_agent(agent)).unwrap();
    let by_token = read!(fixture.store, |r| r.device_by_token(&token)).unwrap();
    assert_eq!(by_agent.map(|found| found.id), Some(device.id));
    assert_eq!(by_token.map(|found| found.id), Some(device.id));
    let former = (device.agent, device.token.unwrap());
    assert_eq!(read!(fixture.store, |r| r.device_by_agent(former.0)).unwrap(), None);
    assert_eq!(read!(fixture.store, |r| r.device_by_token(&former.1)).unwrap(), None);

    let id = device.id;
    let copy = format!(
        "INSERT INTO public.devices SELECT (jsonb_populate_record(d, jsonb_build_object('id', gen_random_uuid(),
             'name', 'd2', 'agent_id', repeat('ef', 32), 'token_sha256', NULL))).* FROM public.devices d
         WHERE id = '{id}'"
    );
    intruder.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(copy))).await.unwrap();
    let all = DeviceFilter { limit: 10, ..DeviceFilter::default() };
    let page = read!(fixture.store, |r| r.list_devices(&all)).unwrap();
    assert_eq!(page.devices.len(), 2);
    let added = "ef".repeat(32).parse().unwrap();
    assert!(read!(fixture.store, |r| r.device_by_agent(added)).unwrap().is_some());

    intruder.execute("DELETE FROM public.devices WHERE name = 'd2'").await.unwrap();
    assert!(read!(fixture.store, |r| r.device_by_agent(added)).unwrap().is_none());
}

#[tokio::test]
async fn two_devices_never_share_an_agent_id_or_a_token() {
    let fixture = Fixture::new().await;
    fixture.device("d1").await;
    fixture.device("d2").await;
    let mut intruder = fixture.intruder().await;
    for change in [
        "UPDATE public.devices SET agent_id = repeat('ab', 32)",
        "UPDATE public.devices SET token_sha256 = repeat('ab', 32)",
    ] {
        let refused = intruder.execute(change).await.unwrap_err();
        assert!(refused.as_database_error().unwrap().is_unique_violation(), "{refused}");
    }
}
