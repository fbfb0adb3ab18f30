//! The networks of devices that moved: a new one is told of once, and only some are remembered.

use super::fixture::{Fixture, HOUR, now, read, write};

#[tokio::test]
async fn a_network_is_new_once() {
    let fixture = Fixture::new().await;
    let device = fixture.device("one").await;
    let id = device.id;
    for (from, to, at) in [("home", "away", now()), ("away", "home", now()), ("home", "away", now() + HOUR)] {
        write!(fixture.store, |w| w.note_network(id, (from, to), at)).unwrap();
    }
    let new = read!(fixture.store, |r| r.new_networks(now() - HOUR, 10)).unwrap();
    let told: Vec<_> =
        new.iter().map(|row| (row.device.clone(), row.network.as_str(), row.came_at)).collect();
    assert_eq!(told, [(device.name, "away", now())]);
    assert_eq!(read!(fixture.store, |r| r.new_networks(now(), 10)).unwrap(), []);
}

#[tokio::test]
async fn the_oldest_networks_are_forgotten() {
    let fixture = Fixture::new().await;
    let id = fixture.device("one").await.id;
    for hour in 0..20 {
        let networks = (hour.to_string(), (hour + 1).to_string());
        let at = now() + HOUR * hour;
        write!(fixture.store, |w| w.note_network(id, (&networks.0, &networks.1), at)).unwrap();
    }
    let known = read!(fixture.store, |r| r.new_networks(now() - HOUR, 100)).unwrap();
    let names: Vec<_> = known.iter().map(|row| row.network.clone()).collect();
    assert_eq!(names, (5..=20).rev().map(|number| number.to_string()).collect::<Vec<_>>());
}
