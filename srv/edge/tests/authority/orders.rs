//! What is asked of the authority, and what it answers (RFC 8555, section 7).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::Inside;
use super::door::{Asked, Reply, fetch, field};
use super::jws::{Key, Signed, decode};

/// All that it remembers.
#[derive(Default)]
pub(super) struct Orders {
    nonces: BTreeSet<String>,
    /// A number for everything.
    count: usize,
    accounts: BTreeMap<String, Key>,
    orders: BTreeMap<usize, Order>,
}

struct Order {
    account: String,
    name: String,
    token: String,
    /// As in RFC 8555, section 7.1.6.
    status: &'static str,
    error: Option<Value>,
    chain: Option<String>,
}

impl Orders {
    fn next(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    pub(super) fn forget_accounts(&mut self) {
        self.accounts.clear();
    }
}

fn refusal(status: u16, kind: &str, detail: &str) -> Reply {
    let body = json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail });
    let fields = vec![("Content-Type", "application/problem+json".to_owned())];
    Reply { status, fields, body: body.to_string() }
}

impl Inside {
    /// Answers a request.
    pub(super) fn answer(self: &Arc<Self>, asked: &Asked) -> Reply {
        let mut reply = match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/directory") => self.directory(),
            ("HEAD" | "GET", "/new-nonce") => {
                Reply { status: 200, fields: Vec::new(), body: String::new() }
            }
            ("POST", _) => self.signed(asked).unwrap_or_else(|reply| {
                if !reply.body.contains("badNonce") && reply.status != 429 {
                    self.count(|seen| seen.faults += 1);
                }
                reply
            }),
            _ => {
                self.count(|seen| seen.faults += 1);
                refusal(404, "malformed", "nothing is there")
            }
        };
        let mut orders = self.orders();
        let nonce = format!("nonce-{}", orders.next());
        orders.nonces.insert(nonce.clone());
        reply.fields.push(("Replay-Nonce", nonce));
        reply
    }

    fn directory(&self) -> Reply {
        let at = |path: &str| format!("{}/{path}", self.base);
        let body = json!({
            "newNonce": at("new-nonce"), "newAccount": at("new-account"),
            "newOrder": at("new-order"), "revokeCert": at("revoke"), "keyChange": at("key"),
        });
        Reply { status: 200, fields: Vec::new(), body: body.to_string() }
    }

    /// Answers a request that somebody has signed.
    fn signed(self: &Arc<Self>, asked: &Asked) -> Result<Reply, Reply> {
        let wrong = |detail: &str| refusal(400, "malformed", detail);
        if field(&asked.head, "content-type") != Some("application/jose+json") {
            return Err(refusal(415, "malformed", "no JOSE"));
        }
        let signed = Signed::read(&asked.body).ok_or_else(|| wrong("no JWS"))?;
        let head = &signed.head;
        let nonce = head["nonce"].as_str().unwrap_or_default();
        let known = self.orders().nonces.remove(nonce);
        if !known || self.takes(|ways| &mut ways.bad_nonces) {
            return Err(refusal(400, "badNonce", "that nonce is no good"));
        }
        if head["url"] != format!("{}{}", self.base, asked.path) {
            return Err(refusal(401, "unauthorized", "signed for another place"));
        }
        if asked.path == "/new-account" {
            let key = Key::of(&head["jwk"]).ok_or_else(|| wrong("no key"))?;
            if !signed.is_by(&key) {
                return Err(refusal(401, "unauthorized", "the signature is wrong"));
            }
            return self.account(key, &signed.payload);
        }
        let account = head["kid"].as_str().unwrap_or_default().to_owned();
        let key = self.orders().accounts.get(&account).cloned();
        let key = key.ok_or_else(|| refusal(400, "accountDoesNotExist", "who is that?"))?;
        if !signed.is_by(&key) {
            return Err(refusal(401, "unauthorized", "the signature is wrong"));
        }
        if asked.path == "/new-order" {
            return self.new_order(account, &signed.payload);
        }
        let place = asked.path.trim_start_matches('/').split_once('/');
        let (what, number) = place.ok_or_else(|| refusal(404, "malformed", "nothing is there"))?;
        let number: usize = number.parse().map_err(|_| wrong("no number"))?;
        let owner = self.orders().orders.get(&number).map(|order| order.account.clone());
        if owner != Some(account) {
            return Err(refusal(403, "unauthorized", "that is not yours"));
        }
        match (what, &signed.payload) {
            ("order", Value::Null) => Ok(self.order(number, 200)),
            ("authorization", Value::Null) => Ok(self.authorization(number)),
            ("challenge", payload) if *payload == json!({}) => Ok(self.challenge(number, key)),
            ("finalize", payload) => self.finalize(number, payload),
            ("certificate", Value::Null) => self.certificate(number),
            _ => Err(wrong("that cannot be done")),
        }
    }

    fn account(&self, key: Key, payload: &Value) -> Result<Reply, Reply> {
        if payload["termsOfServiceAgreed"] != true {
            return Err(refusal(403, "userActionRequired", "agree to the terms"));
        }
        let mut orders = self.orders();
        let known = orders.accounts.iter().find(|(_, it)| **it == key).map(|(at, _)| at.clone());
        let status = if known.is_some() { 200 } else { 201 };
        let at = known.unwrap_or_else(|| {
            let at = format!("{}/account/{}", self.base, orders.next());
            orders.accounts.insert(at.clone(), key);
            self.count(|seen| seen.accounts += 1);
            at
        });
        let fields = vec![("Location", at)];
        Ok(Reply { status, fields, body: json!({ "status": "valid" }).to_string() })
    }

    fn new_order(&self, account: String, payload: &Value) -> Result<Reply, Reply> {
        self.count(|seen| seen.orders += 1);
        if self.takes(|ways| &mut ways.rate_limits) {
            let mut reply = refusal(429, "rateLimited", "too many orders: come later");
            reply.fields.push(("Retry-After", self.ways.borrow().rest.clone()));
            return Err(reply);
        }
        let name = match payload["identifiers"].as_array().map(Vec::as_slice) {
            Some([one]) if one["type"] == "dns" => one["value"].as_str().unwrap_or_default(),
            _ => return Err(refusal(400, "malformed", "one name at a time")),
        };
        let mut orders = self.orders();
        let number = orders.next();
        let (name, token) = (name.to_owned(), format!("token-{number}_{:x}", number * 0x9e37_79b1));
        let (status, error, chain) = ("pending", None, None);
        orders
            .orders
            .insert(number, Order { account, name: name.clone(), token, status, error, chain });
        let open = |order: &&Order| order.name == name && order.status == "pending";
        let at_once = orders.orders.values().filter(open).count() as u32;
        drop(orders);
        self.count(|seen| seen.at_once = seen.at_once.max(at_once));
        Ok(self.order(number, 201))
    }

    fn order(&self, number: usize, status: u16) -> Reply {
        let at = |what: &str| format!("{}/{what}/{number}", self.base);
        let orders = self.orders();
        let order = &orders.orders[&number];
        let mut body = json!({
            "status": order.status,
            "identifiers": [{ "type": "dns", "value": order.name }],
            "authorizations": [at("authorization")],
            "finalize": at("finalize"),
        });
        if order.status == "valid" {
            body["certificate"] = at("certificate").into();
        }
        Reply { status, fields: vec![("Location", at("order"))], body: body.to_string() }
    }

    fn authorization(&self, number: usize) -> Reply {
        let orders = self.orders();
        let order = &orders.orders[&number];
        let status = match order.status {
            "ready" | "processing" => "valid",
            status => status,
        };
        let mut challenge = json!({
            "type": "http-01", "url": format!("{}/challenge/{number}", self.base),
            "token": order.token, "status": status,
        });
        if let Some(error) = &order.error {
            challenge["error"] = error.clone();
        }
        let other =
            json!({ "type": "dns-01", "url": "https://x/", "token": "y", "status": status });
        let body = json!({
            "status": status, "identifier": { "type": "dns", "value": order.name },
            "challenges": [other, challenge],
        });
        Reply { status: 200, fields: Vec::new(), body: body.to_string() }
    }

    /// Begins to look for the proof.
    fn challenge(self: &Arc<Self>, number: usize, key: Key) -> Reply {
        let (name, token) = {
            let orders = self.orders();
            let order = &orders.orders[&number];
            (order.name.clone(), order.token.clone())
        };
        let inside = Arc::clone(self);
        let asked = token.clone();
        tokio::spawn(async move {
            let mut ways = inside.ways.subscribe();
            let port = ways.wait_for(|ways| !ways.holds).await.map(|ways| ways.port);
            let Ok(port) = port else { return };
            let found = fetch(port, &name, &token).await;
            let wanted = format!("{token}.{}", key.thumb);
            let told = match found {
                Ok(found) if found == wanted && !inside.takes(|ways| &mut ways.refusals) => None,
                Ok(_) => Some("another proof was found".to_owned()),
                Err(why) => Some(format!("no proof was found: {why}")),
            };
            if let Some(order) = inside.orders().orders.get_mut(&number) {
                order.status = if told.is_some() { "invalid" } else { "ready" };
                order.error = told.map(|detail| {
                    json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": detail })
                });
            }
            inside.count(|seen| seen.proofs += 1);
        });
        let url = format!("{}/challenge/{number}", self.base);
        let body = json!({ "type": "http-01", "url": url, "token": asked, "status": "processing" });
        Reply { status: 200, fields: Vec::new(), body: body.to_string() }
    }

    fn finalize(&self, number: usize, payload: &Value) -> Result<Reply, Reply> {
        let life = self.ways.borrow().life;
        let mut orders = self.orders();
        let order = orders.orders.get_mut(&number);
        let order = order.filter(|order| order.status == "ready");
        let order = order.ok_or_else(|| refusal(403, "orderNotReady", "not proven"))?;
        if self.takes(|ways| &mut ways.silent_ends) {
            order.status = "invalid";
            drop(orders);
            return Ok(self.order(number, 200));
        }
        let request = decode(&payload["csr"]).unwrap_or_default();
        let chain = self.root.issue(&request, &order.name, life);
        let chain = chain.ok_or_else(|| refusal(400, "badCSR", "it asks for something else"))?;
        (order.chain, order.status) = (Some(chain), "valid");
        drop(orders);
        Ok(self.order(number, 200))
    }

    fn certificate(&self, number: usize) -> Result<Reply, Reply> {
        let chain = self.orders().orders[&number].chain.clone();
        let body = chain.ok_or_else(|| refusal(404, "malformed", "nothing is there"))?;
        self.count(|seen| seen.issued += 1);
        let fields = vec![("Content-Type", "application/pem-certificate-chain".to_owned())];
        Ok(Reply { status: 200, fields, body })
    }
}
