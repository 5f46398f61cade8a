use reqwest::Client;
use serde_json::Value;
use tetherline_server::{Config, TokenRules, VerifyingKey};

use super::TestServer;

/// A server that takes tokens by these rules, and what it says to some.
pub struct Door(pub TestServer, Client);

impl Door {
    pub async fn open(rules: TokenRules) -> Self {
        let http = Client::builder().no_proxy().build().unwrap();
        Self(TestServer::start(Config::new(rules)).await, http)
    }

    pub async fn with_keys(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        Self::open(TokenRules::new().with_keys(keys)).await
    }

    /// The status and code that ada's token meets: 426 is a yes to everything but the upgrade.
    pub async fn says(&self, token: &str) -> (u16, String) {
        self.says_to("ada", token).await
    }

    pub async fn says_to(&self, user: &str, token: &str) -> (u16, String) {
        let request = self.1.get(self.0.http(&format!("/ws/user/{user}"))).bearer_auth(token);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        assert!(!body.to_string().contains(token), "{body}");
        (status, body["error"]["code"].as_str().unwrap().to_owned())
    }

    pub async fn takes(&self, token: &str) -> bool {
        match self.says(token).await {
            (426, _) => true,
            (401, code) if code == "unauthorized" => false,
            other => panic!("{other:?}"),
        }
    }
}
