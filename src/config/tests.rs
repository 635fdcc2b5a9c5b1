//! The loader from outside: what is accepted, and what is said about mistakes.
//!
//! Deliberately absent: the grammar of single values; it is tested beside its reader.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use toml::de::{DeTable, DeValue};

use super::{Config, Listen, Portal, Problems, keys, load, parse};
use crate::domain::scheme::{Encoding, Hash, Scheme};

pub(super) const EXAMPLE: &str = include_str!("../../config/cliqbridge.example.toml");

/// 32 bytes in base64, so that it serves every scheme; the file's name makes it unique.
fn secret_for(name: &str) -> String {
    let filler: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{}{filler:s<40}", "whsec_").chars().take(6 + 40).collect()
}

/// A folder with every file and credential that `text` names.
fn folder_for(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("secrets")).unwrap();
    for (marker, prefix) in [("file = \"", ""), ("credential = \"", "credentials/")] {
        for rest in text.split(marker).skip(1) {
            let name = rest.split('"').next().unwrap();
            let path = folder.path().join(format!("{prefix}{name}"));
            if name.starts_with("secrets/") || !prefix.is_empty() {
                // A damaged text can name what no file system takes; the checker tells of it.
                let _ = fs::create_dir_all(path.parent().unwrap());
                let _ = fs::write(path, format!("{}\n", secret_for(name)));
            }
        }
    }
    folder
}

fn parse_in(folder: &TempDir, text: &str) -> Result<Config, Problems> {
    let credentials = folder.path().join("credentials");
    parse(text, &folder.path().join("bridge.toml"), Some(&credentials))
}

pub(super) fn try_parse(text: &str) -> Result<Config, Problems> {
    parse_in(&folder_for(text), text)
}

/// The example with one piece of text replaced, which must be there exactly once.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(EXAMPLE.matches(from).count(), 1, "{from}");
    EXAMPLE.replace(from, to)
}

/// The problems as `LINE key: message`, without file and value.
pub(super) fn problems(text: &str) -> Vec<String> {
    let found = try_parse(text).expect_err("mistakes").problems;
    found.iter().map(|p| format!("{} {}: {}", p.line, p.key, p.message)).collect()
}

/// The only problem of the example after a change. It must stand on a changed line, unless it says
/// at a header what is missing.
fn problem(from: &str, to: &str) -> String {
    let text = changed(from, to);
    let mut found = problems(&text);
    assert_eq!(found.len(), 1, "{found:#?}");
    let found = found.remove(0);
    let first = EXAMPLE.split(from).next().unwrap().matches('\n').count() + 1;
    let line: usize = found.split(' ').next().unwrap().parse().unwrap();
    let changed = first..=first + to.matches('\n').count();
    assert!(changed.contains(&line) || found.contains(": missing; write"), "{changed:?} {found}");
    found
}

/// The example with its optional lines switched on.
fn uncommented() -> String {
    let switch = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && (!rest.starts_with(' ') || rest.starts_with("  {")) => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(switch).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_parses_and_shows_its_values() {
    let config = try_parse(EXAMPLE).unwrap();
    assert_eq!(config.server.body_limit, 262_144);
    assert_eq!(config.server.drain, Duration::from_secs(20));
    assert_eq!(config.server.admin_listen, Listen::Tcp("127.0.0.1:8081".parse().unwrap()));
    assert!(config.store.path.is_absolute() && config.store.path.ends_with("cliqbridge.db"));
    assert_eq!(config.sources.len(), 3);
    let deluge = &config.sources[2];
    let raw = Scheme::Raw {
        header: "X-Bridge-Signature".into(),
        prefix: String::new(),
        encoding: Encoding::Base64,
        hash: Hash::Sha256,
    };
    assert_eq!(deluge.scheme, raw);
    assert_eq!(deluge.max_event_age, Some(Duration::from_hours(1)));
    assert_eq!(config.sources[0].secrets[0].secret.expose().len(), 30, "decoded");
    assert_eq!(deluge.secrets[0].secret.expose(), secret_for("secrets/deluge").as_bytes());
    let acme = &config.organizations[0];
    assert_eq!(acme.zoho.cliq_url.as_str(), "https://cliq.zoho.eu/");
    assert_eq!(acme.zoho.credential.len(), 16);
    assert!(matches!(acme.portal, Portal::Function { per_minute: 60, header: None, .. }));
    assert_eq!(acme.external_when.len(), 3);
    assert_eq!(config.invitations.quiet_hours, Some((1200, 480)));
    assert_eq!(config.mail.from.name, "Acme Access");
    assert_eq!(config.budget_scale, 1);
}

#[test]
fn the_example_holds_every_key_that_is_read_and_its_optional_lines_are_right() {
    let text = uncommented();
    let config = try_parse(&text).unwrap();
    assert_eq!(config.organizations.len(), 2);
    assert_eq!(config.organizations[1].zoho.cliq_url.as_str(), "https://cliq.zohocloud.ca/");
    let table = DeTable::parse(&text).unwrap();
    let mut shown = BTreeSet::new();
    for (key, value) in table.get_ref() {
        collect(key.get_ref(), value.get_ref(), &mut shown);
    }
    for (section, known) in keys::ALL {
        for key in *known {
            let path = if section.is_empty() { (*key).into() } else { format!("{section}.{key}") };
            // Every other secret shows a credential; the token shows a file.
            let exempt = path == "admin.bootstrap_token.credential";
            assert!(exempt || shown.contains(&path), "{path} is not in the example");
        }
    }
}

fn collect(path: &str, value: &DeValue<'_>, shown: &mut BTreeSet<String>) {
    shown.insert(path.to_owned());
    if let Some(list) = value.as_array() {
        list.iter().for_each(|item| collect(path, item.get_ref(), shown));
    }
    for (key, inner) in value.as_table().into_iter().flatten() {
        collect(&format!("{path}.{}", key.get_ref()), inner.get_ref(), shown);
    }
}

const MINIMAL: &str = r#"
[server]
public_url = "http://127.0.0.1:8080"
[admin]
bootstrap_token = { file = "secrets/admin" }
[zoho]
accounts_url = "http://localhost:1/a"
api_url = "http://127.9.9.9:1/b"
cliq_url = "http://[::1]:1/c"
client_id = "x"
client_secret = { file = "secrets/client" }
refresh_token = { file = "secrets/refresh" }
[mail]
smtp = "smtp://127.0.0.1"
from = "access@acme.example"
[budgets]
scale = 50
[[organizations]]
id = "acme"
name = "Acme"
crm_org = "1"
cliq_org = "2"
internal_domains = ["Acme.Example"]
cliq_plan = "free"
[[organizations]]
id = "birch"
name = "Birch"
crm_org = "3"
cliq_org = "4"
allow_no_internal_domains = true
internal_domains = []
cliq_plan = "paid"
"#;

/// The minimal file with one more source and a watch of Acme.
pub(super) fn with_watch(source: &str, watch: &str) -> String {
    let plan = "cliq_plan = \"free\"";
    let acme = MINIMAL.replacen(plan, &format!("{plan}\nwatch = {{ {watch} }}"), 1);
    format!("{acme}[[sources]]\n{source}secrets = [{{ id = \"a\", file = \"secrets/s\" }}]\n")
}

#[test]
fn what_is_absent_has_its_default_and_the_sandbox_may_share_a_credential() {
    let config = try_parse(MINIMAL).unwrap();
    assert_eq!(config.budget_scale, 50);
    assert_eq!(config.server.listen, Listen::Tcp("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(config.mail.smtp.port(), Some(25));
    assert_eq!(config.guard.max_invites, 500);
    assert_eq!(config.schedule.time_zone, chrono_tz::UTC);
    assert!(config.organizations[0].internal_domains.contains("acme.example"));
    assert!(matches!(config.organizations[0].portal, Portal::Observe));
    assert_eq!(config.organizations[0].zoho.credential, config.organizations[1].zoho.credential);
}

#[test]
fn five_mistakes_are_five_problems_with_their_lines() {
    let text = EXAMPLE
        .replace("body_limit   = \"256 KiB\"", "bodylimit    = \"256 KiB\"")
        .replace("keep_days = 90", "keep_days = 0")
        .replace("tolerance = \"5m\"", "tolerance = \"5 minutes\"")
        .replace("smtp     = \"smtp://127.0.0.1:1025\"", "")
        .replace("{ file = \"secrets/zoho_client\" }", "{ file = \"missing/zoho_client\" }");
    let found = try_parse(&text).unwrap_err();
    let at = |needle: &str| text.lines().position(|line| line.starts_with(needle)).unwrap() + 1;
    let lines: Vec<(usize, &str)> =
        found.problems.iter().map(|problem| (problem.line, problem.key.as_str())).collect();
    let expected = [
        (at("bodylimit"), "server.bodylimit"),
        (at("keep_days"), "store.keep_days"),
        (at("tolerance"), "sources[0].tolerance"),
        (at("client_secret"), "zoho.client_secret.file"),
        (at("[mail]"), "mail.smtp"),
    ];
    assert_eq!(lines, expected);
    let shown = found.to_string();
    let line = format!("bridge.toml:{}:13 store.keep_days = 0: must be", at("keep_days"));
    assert!(shown.contains(&line), "{shown}");
    assert!(shown.contains("did you mean body_limit?"), "{shown}");
    assert!(shown.lines().last().unwrap().starts_with("5 problems in "), "{shown}");
}

#[test]
fn mistakes_against_toml_are_told_with_the_rest_while_the_structure_stands() {
    let text = changed("tolerance = \"5m\"", "tolerance = 5m").replace("= 90", "= 9000");
    let found = problems(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("store.keep_days") && found[1].contains("tolerance: text must be"));
    for (from, to) in [
        ("quiet_hours  = \"20:00-08:00\"", "quiet_hours = 20:00-08:00"),
        ("\"127.0.0.1:8081\"", "127.0.0.1:8081"),
        ("path      = \"cliqbridge.db\"", "path = \"cliqbridge.db"),
        ("path      = \"cliqbridge.db\"", "path = \"c:\\quiet.db\""),
        ("keep_days = 90", "keep_days = 090"),
        ("per_hour = 500", "per_hour = 500 mails"),
    ] {
        problem(from, to);
    }
    let twice = problem("keep_days = 90", "keep_days = 90\nkeep_days = 90");
    assert!(twice.contains("written twice"), "{twice}");
    let header = problem("[store]", "[server]");
    assert!(header.contains("duplicate key"), "{header}");
    let broken = problem("[store]", "[store");
    assert!(broken.contains("not valid TOML"), "{broken}");
}

#[test]
fn a_misspelt_section_is_one_problem_and_is_still_read() {
    let found = problems(&changed("[mail]", "[mial]").replace("per_hour = 500", "per_hour = 0"));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("did you mean mail?") && found[1].contains("mial.per_hour"));
    let lost = problem("per_hour = 500", "keep_days = 90");
    assert!(lost.contains("it belongs in store"), "{lost}");
}

#[test]
fn an_inline_secret_is_refused_and_not_shown() {
    for (from, to) in [
        (
            "bootstrap_token = { file = \"secrets/admin\" }",
            "bootstrap_token = \"hunter2hunter2hunter2\"",
        ),
        (
            "secrets   = [{ id = \"2026-11\", file = \"secrets/crmplus\" }]",
            "secrets   = [\"hunter2\"]",
        ),
        (
            "secrets   = [{ id = \"2026-11\", file = \"secrets/crmplus\" }]",
            "secrets   = \"hunter2\"",
        ),
        ("#password = { file", "user = \"a\"\npassword = \"hunter2\" # { file"),
        ("https://functions.example/portal", "https://functions.example/portal?zapikey=hunter2"),
        ("smtp://127.0.0.1:1025", "smtp://user:hunter2@127.0.0.1:1025"),
        ("client_id     = \"1000.EXAMPLE\"", "client_id = \"1\"\nclient_pass = \"hunter2\""),
    ] {
        let found = try_parse(&changed(from, to)).unwrap_err();
        assert_eq!(found.problems.len(), 1, "{found}");
        assert!(!found.to_string().contains("hunter2"), "{found}");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
    let told = problem("{ file = \"secrets/admin\" }", "\"hunter2hunter2hunter2\"");
    assert!(told.contains("move it into a file"), "{told}");
}

#[test]
fn nothing_of_a_secret_shows_in_the_configuration_or_in_a_problem() {
    let text = uncommented().replace("user     = \"bridge\"", "user = { file = \"secrets/user\" }");
    let folder = folder_for(&text);
    let config = parse_in(&folder, &text).unwrap();
    let shown = format!("{config:?} {config:#?}");
    for name in
        ["admin", "crmplus", "deluge", "zoho_client", "zoho_refresh", "portal", "smtp", "user"]
    {
        let secret = secret_for(&format!("secrets/{name}"));
        assert!(!shown.contains(&secret), "{name}");
    }
    assert_eq!(config.mail.user, Some(secret_for("secrets/user")));
    for bad in ["", " \n", "short", "hunter2 two\nlines and more"] {
        for name in ["admin", "crmplus", "zoho_client", "portal"] {
            let path = folder.path().join("secrets").join(name);
            let good = fs::read(&path).unwrap();
            fs::write(&path, bad).unwrap();
            if let Err(found) = parse_in(&folder, &text) {
                let shown = format!("{found} {found:?}");
                assert!(shown.contains(&format!("secrets/{name}")), "{shown}");
                assert!(!shown.contains("hunter2") && !shown.contains("short"), "{shown}");
            } else {
                assert_eq!(bad, "short", "{name}");
            }
            fs::write(&path, good).unwrap();
        }
    }
}

#[test]
fn a_credential_needs_systemd_and_a_plain_name() {
    let text = changed("{ file = \"secrets/admin\" }", "{ credential = \"admin_token\" }");
    let folder = folder_for(&text);
    assert!(parse_in(&folder, &text).is_ok());
    let found = parse(&text, &folder.path().join("x.toml"), None).unwrap_err();
    assert!(found.to_string().contains("LoadCredential=admin_token:PATH"), "{found}");
    let escaped = problem("{ file = \"secrets/admin\" }", "{ credential = \"../admin\" }");
    assert!(escaped.contains("plain name"), "{escaped}");
}

#[test]
fn plain_http_is_for_loopback_only() {
    for (from, to) in [
        ("https://bridge.example.org", "http://bridge.example.org"),
        ("https://functions.example/portal", "http://127.0.0.1.example/portal"),
        ("join_url     = \"https://cliq.zoho.eu/\"", "join_url     = \"http://cliq.zoho.eu/\""),
        ("data_center   = \"eu\"", "data_center = \"eu\"\napi_url = \"http://10.0.0.1/\""),
    ] {
        let text = changed(from, to);
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].contains("must begin with https://"), "{found:#?}");
    }
}

#[test]
fn two_organizations_on_one_credential_are_refused() {
    let birch = "[[organizations]]\nid = \"birch\"\nname = \"Birch\"\ncrm_org = \"2\"\n\
                 cliq_org = \"3\"\ninternal_domains = [\"birch.example\"]\ncliq_plan = \"free\"\n";
    let found = problem("# What may not happen unseen.", &format!("{birch}# What"));
    assert!(found.contains("same Zoho credential as the organization acme"), "{found}");
    let own = format!("{birch}zoho = {{ refresh_token = {{ file = \"secrets/other\" }} }}\n# What");
    let config = try_parse(&changed("# What may not happen unseen.", &own)).unwrap();
    assert_eq!(config.organizations[1].zoho.client_id, "1000.EXAMPLE");
    assert_eq!(config.organizations[1].zoho.cliq_url.as_str(), "https://cliq.zoho.eu/");
}

#[test]
fn budgets_are_scaled_in_the_sandbox_only() {
    let found = problem("#[budgets]\n#scale = 1", "[budgets]\nscale = 50");
    assert!(found.contains("budgets.scale: budgets are scaled only while"), "{found}");
}

#[test]
fn i11_a_scope_or_channel_that_matches_nobody_is_refused() {
    let scope = "{ include = { profile = [\"Partner\", \"Contractor\"] }, exclude = { email = [\"robot@birch.example\"] } }";
    for empty in [
        "{}",
        "{ include = {} }",
        "{ include = { profile = [] } }",
        "{ include = { all = false } }",
    ] {
        let found = problem(scope, empty);
        assert!(found.contains("is empty") || found.contains("matches nobody"), "{found}");
    }
    let when = "when    = { profile = [\"Partner\"] }\n\n#";
    assert!(problem(when, "\n#").contains("missing; write when = { profile"));
    assert!(problem(when, "when = {}\n\n#").contains("write { all = true } for everyone"));
}

#[test]
fn r24_r27_r34_forbidden_keys_name_their_rule() {
    for (key, rule) in [
        ("team = \"x\"", "R27"),
        ("role = \"admin\"", "R24"),
        ("remove_if_inactive = \"90d\"", "R34"),
    ] {
        let found =
            problem("channel = \"extsupport\"", &format!("channel = \"extsupport\"\n{key}"));
        assert!(found.contains(rule), "{found}");
    }
}

#[test]
fn canada_and_the_emirates_are_not_derived_from_their_domain() {
    let canada = try_parse(&changed("data_center   = \"eu\"", "data_center = \"ca\"")).unwrap();
    let zoho = &canada.organizations[0].zoho;
    let urls = [&zoho.accounts_url, &zoho.api_url, &zoho.cliq_url].map(url::Url::as_str);
    let expected = [
        "https://accounts.zohocloud.ca/",
        "https://www.zohoapis.ca/",
        "https://cliq.zohocloud.ca/",
    ];
    assert_eq!(urls, expected);
    let emirates = problem("data_center   = \"eu\"", "data_center = \"ae\"");
    assert!(emirates.contains("no Cliq host"), "{emirates}");
    let own = uncommented().replace("data_center   = \"ca\"", "data_center = \"ae\"");
    let own = own.replace("cliq_url      = \"https://cliq.zohocloud.ca\"", "");
    assert!(problems(&own).iter().all(|line| line.contains("no Cliq host")));
    let unknown = problem("data_center   = \"eu\"", "data_center = \"mars\"");
    assert!(unknown.contains("must be one of us, eu, in"), "{unknown}");
}

#[test]
fn sources_are_checked_by_their_scheme() {
    let scheme = "scheme        = \"raw\"";
    for (from, to, expected) in [
        ("#hash          = \"sha256\"", "hash = \"sha1\"", "SHA-1 is not accepted"),
        ("tolerance = \"5m\"", "prefix = \"v1=\"", "scheme standard has no prefix (it is for raw)"),
        ("scheme    = \"standard\"", "scheme    = \"standard-v1a\"", "Ed25519"),
        ("tolerance = \"5m\"", "tolerance = \"2h\"", "must be from \"1s\" to \"1h\""),
        ("organization  = \"acme\"", "organization = \"acne\"", "configured are: acme"),
        ("name          = \"billing\"", "name = \"crmplus\"", "already the name of a source"),
        ("header        = \"X-Bridge-Signature\"", "", "missing; write header ="),
        (scheme, "scheme = \"crm-watch\"", "name this source"),
        ("[{ id = \"2026-11\", file = \"secrets/crmplus\" }]", "[]", "accepts nothing"),
    ] {
        let found = problem(from, to);
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn single_values_say_what_to_write() {
    for (from, to, expected) in [
        ("reconcile = \"0 */15 * * * *\"", "reconcile = \"*/15 * * * *\"", "seconds come first"),
        ("Mon-Fri", "1-5", "days of the week must be names"),
        ("Europe/Berlin", "Berlin", "IANA"),
        (
            "crm_org           = \"60001234\"",
            "crm_org = 60001234",
            "write it in quotes: \"60001234\"",
        ),
        ("internal_domains  = [\"acme.example\"]", "internal_domains = []", "must not be empty"),
        ("[\"acme.example\"]\n# An", "[\"*.acme.example\"]\n# An", "without @ or *"),
        ("127.0.0.1:8081", "127.0.0.1:8080", "must differ"),
        ("smtp://127.0.0.1:1025", "mail.example", "must be smtp://"),
        ("#user     = \"bridge\"", "user = \"bridge\"", "missing; write password"),
        ("grace        = \"24h\"", "grace = 24", "write \"24s\""),
        ("per_hour = 500", "per_hour = \"500\"", "without quotes"),
    ] {
        let found = problem(from, to);
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_without_a_line() {
    let found = load(Path::new("/nonexistent/bridge.toml"), None).unwrap_err();
    assert!(found.to_string().starts_with("/nonexistent/bridge.toml: cannot be read"), "{found}");
    let folder = folder_for(MINIMAL);
    let file: PathBuf = folder.path().join("bridge.toml");
    fs::write(&file, MINIMAL).unwrap();
    assert!(load(&file, None).is_ok());
}

#[test]
fn an_empty_file_lists_what_is_required() {
    let found = problems("");
    for key in
        ["server.public_url", "admin.bootstrap_token", "organizations", "mail.smtp", "mail.from"]
    {
        assert!(
            found.iter().any(|line| line.starts_with(&format!("1 {key}:"))),
            "{key}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(200))]

    /// Whatever is cut out or put in: no panic, and a refusal always says something.
    #[test]
    fn any_damage_is_told(at in 0..EXAMPLE.len(), cut in 0_usize..60, put in "[\\[\\]{}=\"'#.\n a-z0-9]{0,6}") {
        let mut text = uncommented();
        let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        let (from, until) = (floor(at).unwrap(), floor(at + cut).unwrap());
        text.replace_range(from..until.max(from), &put);
        if let Err(found) = try_parse(&text) {
            proptest::prop_assert!(!found.problems.is_empty());
            proptest::prop_assert!(!found.to_string().contains("cannot name"), "{}", found);
        }
    }
}
