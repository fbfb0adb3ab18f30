//! E-mail, over a mail server that takes it from us.

use anyhow::Context as _;
use countersign_authority::alerts::{AlertRow, News};
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use zeroize::Zeroizing;

use super::tell::headline;
use crate::config::{AlertMail, MailTls};
use crate::system_roots::roots;

/// Tells it.
pub(super) async fn send(mail: &AlertMail, news: News, alert: &AlertRow) -> anyhow::Result<()> {
    let message = message(mail, news, alert)?;
    transport(mail)?.send(message).await.context("hand the mail to the server").map(|_taken| ())
}

fn message(mail: &AlertMail, news: News, alert: &AlertRow) -> anyhow::Result<Message> {
    let subject: String = headline(news, alert).chars().filter(|one| !one.is_control()).take(200).collect();
    let mut builder = Message::builder()
        .from(mail.from.parse().context("read alert_to.from")?)
        .subject(format!("Countersign: {subject}"))
        .header(ContentType::TEXT_PLAIN);
    for to in &mail.to {
        builder = builder.to(to.parse().context("read alert_to.to")?);
    }
    let tenant = alert.tenant.as_ref().map(|tenant| format!("tenant    {tenant}\n")).unwrap_or_default();
    let resolved = alert.resolved_at.map(|at| format!("resolved  {at}\n")).unwrap_or_default();
    let text = format!(
        "{}\n\nkind      {}\nsubject   {}\n{tenant}severity  {}\nsince     {}\n{resolved}id        {}\n\n\
         countersign alert list\ncountersign alert ack {}\n",
        alert.summary, alert.kind, alert.subject, alert.severity, alert.opened_at, alert.id, alert.id
    );
    builder.body(text).context("write the mail")
}

fn transport(mail: &AlertMail) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let host = mail.server.host.to_string();
    let mut builder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone()).port(mail.server.port);
    builder = match mail.tls {
        MailTls::Implicit => builder.tls(Tls::Wrapper(tls(mail, host)?)),
        MailTls::StartTls => builder.tls(Tls::Required(tls(mail, host)?)),
        MailTls::DangerNone => builder.tls(Tls::None),
    };
    if let Some((user, file)) = &mail.login {
        let password = Zeroizing::new(fs_err::read_to_string(file).context("read the password")?);
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    Ok(builder.build())
}

fn tls(mail: &AlertMail, host: String) -> anyhow::Result<TlsParameters> {
    let mut builder = TlsParameters::builder(host).certificate_store(CertificateStore::None);
    let end = "-----END CERTIFICATE-----\n";
    for pem in roots(mail.ca_file.as_deref(), "alert_to.ca_file")?.split_inclusive(end) {
        // Bundles have comments between certificates.
        if pem.contains("-----BEGIN CERTIFICATE-----")
            && let Ok(root) = Certificate::from_pem(pem.as_bytes())
        {
            builder = builder.add_root_certificate(root);
        }
    }
    builder.build_rustls().context("set up TLS")
}
