//! A server that stops answering without closing its connections: behind a proxy that stops forwarding.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use countersign_testkit::PostgresServer;

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
    is_silent: Arc<(Mutex<bool>, Condvar)>,
    streams: Arc<Mutex<Vec<UnixStream>>>,
}

impl Proxy {
    /// One that listens in `directory` and forwards to the socket `server`.
    fn start(directory: &Path, server: &Path) -> Self {
        let proxy = Self { is_silent: Arc::default(), streams: Arc::default() };
        let listener = UnixListener::bind(directory.join(".s.PGSQL.5432")).unwrap();
        let (accepting, server) = (proxy.clone(), server.to_owned());
        thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), UnixStream::connect(&server).unwrap());
                accepting
                    .streams
                    .lock()
                    .unwrap()
                    .extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                accepting.forward(near.try_clone().unwrap(), far.try_clone().unwrap());
                accepting.forward(far, near);
            }
        });
        proxy
    }

    fn forward(&self, mut from: UnixStream, mut to: UnixStream) {
        let proxy = self.clone();
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let (lock, changed) = &*proxy.is_silent;
                drop(changed.wait_while(lock.lock().unwrap(), |is_silent| *is_silent).unwrap());
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        });
    }

    fn fall_silent(&self) {
        *self.is_silent.0.lock().unwrap() = true;
    }

    /// Forwards again, on new connections alone.
    fn recover(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            // One that is closed already cannot be shut down.
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
        *self.is_silent.0.lock().unwrap() = false;
        self.is_silent.1.notify_all();
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

#[tokio::test]
async fn a_silent_server_fails_what_it_was_told_and_the_next_change_finds_another_connection() {
    let url = PostgresServer::shared().create_database();
    let (name, rest) = url.strip_prefix("postgresql:///").unwrap().split_once("?host=").unwrap();
    let server = Path::new(rest.split_once('&').unwrap().0).join(".s.PGSQL.5432");
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(directory.path(), &server);
    let url = format!("postgresql:///{name}?host={}&user=postgres", directory.path().display());
    let store = Store::open_with(&url.parse().unwrap(), Some(PATIENCE)).await.unwrap();
    store.migrate().await.unwrap();
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
