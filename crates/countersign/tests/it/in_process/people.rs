//! People of every role, put into the store with a session each: what the API has no calls for yet.

use std::time::Duration;

use countersign_core::ids::{SecretHash, TenantId, UserId};
use countersign_core::time::Timestamp;
use countersign_store::{PasswordHash, Role, SessionRow, Store, StoreError, UserRow};

/// What a person sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Every tenant.
    Everyones,
    /// The tenant that the test is about.
    Own,
    /// Another tenant.
    Another,
}

/// A person with a session.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) role: Role,
    pub(crate) whose: Whose,
    pub(crate) token: String,
}

/// The owner of everything, there before anybody else.
pub(crate) async fn insert_owner(store: &Store, now: Timestamp) -> String {
    insert(store, user("owner", Role::Owner, None, now), now, now + DAY).await
}

/// How long sessions last.
const DAY: Duration = Duration::from_secs(86_400);

/// A hash that no password of these tests has.
const NO_PASSWORD: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LXNpZ25zLWlu$\
                           7LzK1GZtC8hN0mWzvWnWmJ3QyWvH0Q0m0q6vT7m0k1s";

/// One person of every role for every tenant, and those whose session is worth nothing.
#[derive(Default)]
pub(crate) struct People {
    pub(crate) all: Vec<Person>,
    /// Disabled after signing in.
    pub(crate) disabled: String,
    /// Signed in too long ago.
    pub(crate) late: String,
}

impl People {
    pub(crate) async fn insert(store: &Store, own: TenantId, another: TenantId, now: Timestamp) -> Self {
        let mut all = Vec::new();
        for role in [Role::Viewer, Role::Operator, Role::Admin, Role::Owner] {
            for (whose, tenant) in
                [(Whose::Everyones, None), (Whose::Own, Some(own)), (Whose::Another, Some(another))]
            {
                let user = user(&format!("{role}-{whose:?}"), role, tenant, now);
                let token = insert(store, user, now, now + DAY).await;
                all.push(Person { role, whose, token });
            }
        }
        let disabled = UserRow { disabled_at: Some(now), ..user("disabled", Role::Owner, None, now) };
        let late = user("late", Role::Owner, None, now);
        Self {
            all,
            disabled: insert(store, disabled, now, now + DAY).await,
            late: insert(store, late, Timestamp::from_secs(0), Timestamp::from_secs(1)).await,
        }
    }

    /// The person of this role who sees this.
    pub(crate) fn token(&self, role: Role, whose: Whose) -> &str {
        let found = self.all.iter().find(|person| person.role == role && person.whose == whose);
        &found.unwrap().token
    }
}

fn user(name: &str, role: Role, tenant: Option<TenantId>, now: Timestamp) -> UserRow {
    UserRow {
        id: UserId::random(),
        email: format!("{}@example.com", name.to_lowercase()),
        password_hash: PasswordHash::new(NO_PASSWORD.to_owned()),
        role,
        tenant,
        created_at: now,
        disabled_at: None,
    }
}

async fn insert(store: &Store, user: UserRow, from: Timestamp, until: Timestamp) -> String {
    let token = format!("css_{:0>64}", user.id.uuid().simple());
    let session =
        SessionRow { token: SecretHash::of(&token), user: user.id, created_at: from, expires_at: until };
    let done = store.write(move |w| {
        Box::pin(async move {
            assert!(w.insert_user(&user).await?, "{} is there already", user.email);
            w.insert_session(&session).await?;
            Ok::<_, StoreError>(())
        })
    });
    done.await.unwrap();
    token
}
