//! One order, from the account to the certificate (RFC 8555, section 7).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, Problem, RetryPolicy,
};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Settings;
use super::proofs::{Offered, Proofs};
use super::store::Store;
use super::web::Web;

/// How long an order may take, all in all.
const ORDER_TIME_MAX: Duration = Duration::from_secs(300);
/// How long one state of it may take.
const STATE_TIME_MAX: Duration = Duration::from_secs(120);
/// The shortest pause before its state is asked for; doubles.
const ASK_MIN: Duration = Duration::from_millis(200);
/// Proofs that an order for one name may ask for.
const PROOFS_MAX: usize = 4;
/// Bytes of a token: it stands in a path.
const TOKEN_BYTES_MAX: usize = 512;
/// Letters of somebody else's words that are told.
const WORDS_MAX: usize = 300;

/// Where orders are placed.
pub(super) struct Authority {
    settings: Settings,
    store: Store,
    proofs: Arc<Proofs>,
    /// How it is reached, and as whom; none until it was.
    open: Mutex<Option<(Account, Web)>>,
}

/// Why no certificate came.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    pub(super) about: About,
    /// The rest that was asked for.
    pub(super) rest: Option<Duration>,
}

/// Whose matter a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The host's: another one may fare better.
    Host,
    /// The account's, which the authority has forgotten: with a new one the host may fare better.
    Account,
    /// Everybody's: another host would have fared no better.
    All,
}

impl Failed {
    fn at_all(why: impl std::fmt::Display) -> Failed {
        Failed { why: words(&why.to_string()), about: About::All, rest: None }
    }

    fn here(why: impl std::fmt::Display) -> Failed {
        Failed { about: About::Host, ..Failed::at_all(why) }
    }
}

/// A key and a chain that were given out, in PEM.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) key: String,
    pub(super) chain: String,
}

impl Authority {
    pub(super) fn new(settings: Settings, store: Store, proofs: Arc<Proofs>) -> Authority {
        Authority { settings, store, proofs, open: Mutex::default() }
    }

    /// Orders a certificate for a host.
    pub(super) async fn order(&self, host: &str) -> Result<Issued, Failed> {
        let ordered = timeout(ORDER_TIME_MAX, self.try_order(host)).await;
        ordered.unwrap_or_else(|_| Err(Failed::here(format!("no end in {ORDER_TIME_MAX:?}"))))
    }

    async fn try_order(&self, host: &str) -> Result<Issued, Failed> {
        let (account, web) = self.account().await?;
        match place(&account, host, &self.proofs).await {
            Ok(issued) => Ok(issued),
            Err(mut failed) => {
                failed.rest = web.rest();
                match failed.about {
                    About::Host => {}
                    About::Account => self.forget(account.id()).await?,
                    // Its directory may be another one by the next time.
                    About::All => *self.open.lock().await = None,
                }
                Err(failed)
            }
        }
    }

    /// The account, made at the first time.
    async fn account(&self) -> Result<(Account, Web), Failed> {
        let mut open = self.open.lock().await;
        if let Some((account, web)) = &*open {
            return Ok((account.clone(), web.clone()));
        }
        let web = Web::to(&self.settings).map_err(Failed::at_all)?;
        let account = self.log_in(&web).await;
        let account = account.map_err(|failed| Failed { rest: web.rest(), ..failed })?;
        Ok(open.insert((account, web)).clone())
    }

    /// Has no such account any more; another order may have made the next one meanwhile.
    async fn forget(&self, id: &str) -> Result<(), Failed> {
        let mut open = self.open.lock().await;
        if open.as_ref().is_some_and(|(account, _)| account.id() == id) {
            *open = None;
        }
        let id = id.to_owned();
        self.on_disk(move |store| store.forget_account(&id)).await
    }

    async fn log_in(&self, web: &Web) -> Result<Account, Failed> {
        let url = self.settings.url.clone();
        let named = url.clone();
        let kept = self.on_disk(move |store| store.account(&named)).await?;
        let builder = Account::builder_with_http(Box::new(web.clone()));
        if let Some(credentials) = kept {
            let account = builder.from_credentials(credentials).await;
            return account.map_err(|why| Failed::at_all(plain(&why)));
        }
        let contact = self.settings.contact.as_ref().map(|mail| format!("mailto:{mail}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let made = builder.create(&new, url, None).await;
        let (account, credentials) = made.map_err(|why| Failed::at_all(plain(&why)))?;
        self.on_disk(move |store| store.keep_account(&credentials)).await?;
        Ok(account)
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failed> {
        let store = self.store.clone();
        let done = spawn_blocking(move || work(&store)).await;
        let done = done.map_err(io::Error::other).flatten();
        done.map_err(|why| Failed::at_all(format!("the account cannot be kept: {why}")))
    }
}

/// What the kinds of refusals begin with (RFC 8555, section 6.7).
const KINDS: &str = "urn:ietf:params:acme:error:";
/// The kind that says that there is no such account.
const NO_ACCOUNT: &str = "accountDoesNotExist";
/// Of one that says that it is itself to blame.
const BROKEN: &str = "serverInternal";

async fn place(account: &Account, host: &str, proofs: &Arc<Proofs>) -> Result<Issued, Failed> {
    let names = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&names)).await.map_err(failed)?;
    // Proofs are offered until the order has ended.
    let _offered = prove(&mut order, host, proofs).await?;
    let patience = RetryPolicy::new().initial_delay(ASK_MIN).timeout(STATE_TIME_MAX);
    match order.poll_ready(&patience).await {
        Ok(OrderStatus::Ready) => {}
        Err(Error::Api(said)) if about(&said) == About::Account => {
            return Err(failed(Error::Api(said)));
        }
        Ok(_) | Err(Error::Api(_)) => return Err(Failed::here(objection(&mut order).await)),
        Err(why) => return Err(failed(why)),
    }
    let key = order.finalize().await.map_err(failed)?;
    match order.poll_certificate(&patience).await {
        Ok(chain) => Ok(Issued { key, chain }),
        // It ended in a way that was understood, whether or not it says why.
        Err(Error::Str(_)) if order.state().status == OrderStatus::Invalid => {
            Err(Failed::here(objection(&mut order).await))
        }
        Err(why) => Err(failed(why)),
    }
}

/// Offers what the order asks for, and says so.
async fn prove(
    order: &mut Order,
    host: &str,
    proofs: &Arc<Proofs>,
) -> Result<Vec<Offered>, Failed> {
    let mut offered = Vec::new();
    let mut asked = order.authorizations();
    while let Some(authorization) = asked.next().await {
        let mut authorization = authorization.map_err(failed)?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Invalid
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired
            | AuthorizationStatus::Deactivated => {
                let why = format!("a proof was asked for and is {:?}", authorization.status);
                return Err(Failed::here(why));
            }
        }
        let challenge = authorization.challenge(ChallengeType::Http01);
        let mut challenge = challenge.ok_or_else(|| Failed::here("it takes no proof by HTTP"))?;
        let fine = |c: u8| c.is_ascii_alphanumeric() || b"-_".contains(&c);
        let token = challenge.token.clone();
        let sound = (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(fine);
        if !sound || offered.len() == PROOFS_MAX {
            return Err(Failed::here("it asks for proofs that make no sense"));
        }
        offered.push(proofs.offer(host, &token, challenge.key_authorization().as_str()));
        challenge.set_ready().await.map_err(failed)?;
    }
    Ok(offered)
}

/// What the authority found wrong with a proof, as far as it says.
async fn objection(order: &mut Order) -> String {
    let said = order.state().error.as_ref().map(problem);
    let mut asked = order.authorizations();
    while let Some(Ok(mut authorization)) = asked.next().await {
        let Ok(state) = authorization.refresh().await else { break };
        let mut wrong = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        if let Some(error) = wrong.next() {
            return format!("the proof was not taken: {}", problem(error));
        }
    }
    let said = said.unwrap_or_else(|| "it does not say why".to_owned());
    format!("the order was refused: {said}")
}

fn failed(why: Error) -> Failed {
    if let Error::Api(said) = &why {
        return Failed { about: about(said), ..Failed::here(plain(&why)) };
    }
    // It was understood, and is this host's matter.
    match matches!(why, Error::Timeout(_) | Error::Unsupported(_)) {
        true => Failed::here(plain(&why)),
        false => Failed::at_all(plain(&why)),
    }
}

/// Whose matter a refusal is, by its kind: its words may be anybody's.
fn about(said: &Problem) -> About {
    match said.r#type.as_deref().and_then(|kind| kind.strip_prefix(KINDS)) {
        Some(NO_ACCOUNT) => About::Account,
        Some(BROKEN) => About::All,
        // One that is too frequent too: most limits are a name's own (RFC 8555, section 6.6), and
        // it says itself how long that name rests.
        Some(_) | None => About::Host,
    }
}

fn plain(why: &Error) -> String {
    if let Error::Api(said) = why {
        return problem(said);
    }
    if let Error::Json(why) = why {
        return format!("its answer makes no sense: {why}");
    }
    why.to_string()
}

/// A refusal in the authority's words, and of which kind it is.
fn problem(said: &Problem) -> String {
    let kind = said.r#type.as_deref().unwrap_or("no kind");
    let kind = kind.strip_prefix(KINDS).unwrap_or(kind);
    match &said.detail {
        Some(detail) => format!("{detail} ({kind})"),
        None => kind.to_owned(),
    }
}

/// Somebody else's words, as they may stand in a line.
fn words(text: &str) -> String {
    text.chars().take(WORDS_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_elses_words_stay_in_one_line_of_bounded_length() {
        let told = Failed::here("a\nacme_host=x\u{1b}[0m".to_owned() + &"x".repeat(10_000)).why;
        assert!(told.starts_with("a?acme_host=x?[0m"), "{told}");
        assert_eq!(told.chars().count(), WORDS_MAX);
    }

    #[test]
    fn a_refusal_is_the_accounts_matter_by_its_kind_and_not_by_its_words() {
        let told = |kind: &str, detail: &str| {
            let said = serde_json::json!({ "type": kind, "detail": detail });
            failed(Error::Api(serde_json::from_value(said).unwrap())).about
        };
        let none = format!("{KINDS}{NO_ACCOUNT}");
        assert_eq!(told(&none, "who is that?"), About::Account);
        assert_eq!(told(&format!("{KINDS}unauthorized"), &none), About::Host);
        assert_eq!(told(NO_ACCOUNT, NO_ACCOUNT), About::Host);
        assert_eq!(told(&format!("{KINDS}{BROKEN}"), "come later"), About::All);
        assert_eq!(told(&format!("{KINDS}rateLimited"), "come later"), About::Host);
        assert_eq!(failed(Error::Str("?")).about, About::All);
    }
}
