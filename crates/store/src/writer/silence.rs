//! A server that stops answering without closing its connections: behind a proxy that stops forwarding.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use countersign_testkit::PostgresServer;
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::error::StoreError;
use crate::row::Number;
use crate::statement::sql;
use crate::store::Store;
use crate::transaction::Writing;

/// What the test's writer has of it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Stands before the server and can fall silent.
#[derive(Clone)]
struct Proxy {
    /// Connections with a number below this hear nothing.
    silent_below: Arc<(Mutex<usize>, Condvar)>,
    streams: Arc<Mutex<Vec<UnixStream>>>,
}

impl Proxy {
    /// One that listens in `directory` and forwards to the socket `server`.
    fn start(directory: &Path, server: &Path) -> Self {
        let proxy = Self { silent_below: Arc::default(), streams: Arc::default() };
        let listener = UnixListener::bind(directory.join(".s.PGSQL.5432")).unwrap();
        let (accepting, server) = (proxy.clone(), server.to_owned());
        thread::spawn(move || {
            for (number, near) in listener.incoming().enumerate() {
                let (near, far) = (near.unwrap(), UnixStream::connect(&server).unwrap());
                accepting
                    .streams
                    .lock()
                    .unwrap()
                    .extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                accepting.forward(number, near.try_clone().unwrap(), far.try_clone().unwrap());
                accepting.forward(number, far, near);
            }
        });
        proxy
    }

    fn forward(&self, number: usize, mut from: UnixStream, mut to: UnixStream) {
        let proxy = self.clone();
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let (lock, changed) = &*proxy.silent_below;
                drop(changed.wait_while(lock.lock().unwrap(), |below| number < *below).unwrap());
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        });
    }

    fn fall_silent(&self) {
        *self.silent_below.0.lock().unwrap() = usize::MAX;
    }

    /// Forwards again on new connections; those that there are stay open and silent.
    fn answer_newcomers(&self) {
        *self.silent_below.0.lock().unwrap() = self.streams.lock().unwrap().len() / 2;
        self.silent_below.1.notify_all();
    }

    /// Forwards again, on new connections alone.
    fn recover(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            // One that is closed already cannot be shut down.
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
        *self.silent_below.0.lock().unwrap() = 0;
        self.silent_below.1.notify_all();
    }
}

async fn note(writing: &mut Writing<'_>, code: &'static str) -> Result<(), StoreError> {
    let text = "INSERT INTO refusals (id, at, code, facts) VALUES (gen_random_uuid(), now(), $1, '{}')";
    sql("refusals", text).bind(code).run(&mut writing.connection).await.map(|_one| ())
}

async fn noted(store: &Store) -> u64 {
    let counted = store.write::<_, StoreError, _>(|writing| {
        let statement = sql("refusals", "SELECT count(*) AS number FROM refusals");
        Box::pin(async move { statement.one::<Number>(&mut writing.connection).await })
    });
    counted.await.unwrap().0
}

/// A store behind a proxy, which listens in the directory.
async fn behind_a_proxy() -> (Store, Proxy, TempDir) {
    let url = PostgresServer::shared().create_database();
    let (name, rest) = url.strip_prefix("postgresql:///").unwrap().split_once("?host=").unwrap();
    let server = Path::new(rest.split_once('&').unwrap().0).join(".s.PGSQL.5432");
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(directory.path(), &server);
    let url = format!("postgresql:///{name}?host={}&user=postgres", directory.path().display());
    let store = Store::open_with(&url.parse().unwrap(), Some(PATIENCE)).await.unwrap();
    store.migrate().await.unwrap();
    (store, proxy, directory)
}

#[tokio::test]
async fn reads_of_a_silent_server_fail_in_time_and_later_ones_find_other_connections() {
    let (store, proxy, _directory) = behind_a_proxy().await;
    let version =
        async || store.read::<_, StoreError, _>(|r| Box::pin(async move { r.installation().await })).await;
    version().await.unwrap();
    proxy.fall_silent();
    // More than there are connections.
    for lost in join_all((0..6).map(|_| version())).await {
        assert!(matches!(lost, Err(StoreError::Statement { .. })), "{lost:?}");
    }
    proxy.answer_newcomers();
    let answered = async { while version().await.is_err() {} };
    timeout(PATIENCE * 10, answered).await.unwrap();
    for read in join_all((0..6).map(|_| version())).await {
        read.unwrap();
    }
}

#[tokio::test]
async fn a_silent_server_fails_what_it_was_told_and_the_next_change_finds_another_connection() {
    let (store, proxy, _directory) = behind_a_proxy().await;
    store.write::<_, StoreError, _>(|w| Box::pin(note(w, "BEFORE"))).await.unwrap();

    // In the middle of a change: it and its group are lost.
    let falling = proxy.clone();
    let lost = store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            note(w, "DURING").await?;
            falling.fall_silent();
            note(w, "DURING").await
        })
    });
    let (lost, queued) = tokio::join!(lost, store.write::<_, StoreError, _>(|w| Box::pin(note(w, "QUEUED"))));
    assert!(matches!(lost, Err(StoreError::Commit(_))), "{lost:?}");
    assert!(matches!(queued, Err(StoreError::Commit(_))), "{queued:?}");

    // Before the next one, and when another connection is wanted.
    let refused = store.write::<_, StoreError, _>(|w| Box::pin(note(w, "SILENT"))).await;
    assert!(matches!(refused, Err(StoreError::Commit(_))), "{refused:?}");

    proxy.recover();
    store.write::<_, StoreError, _>(|w| Box::pin(note(w, "AFTER"))).await.unwrap();
    assert_eq!(noted(&store).await, 2);
}
