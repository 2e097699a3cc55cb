//! Rules in nft's own words, from its JSON: what `nft list ruleset` prints, without counters' values.

use serde_json::Value;

/// A rule.
pub(super) fn rule(statements: &[Value], comment: Option<&str>) -> String {
    let words: Vec<String> = statements.iter().map(statement).collect();
    let comment = comment.map(|comment| format!(" comment {}", quoted(comment))).unwrap_or_default();
    format!("{}{comment}", words.join(" "))
}

fn statement(statement: &Value) -> String {
    let Some((word, body)) = first(statement) else { return plain(statement) };
    match word {
        "match" => comparison(body),
        "counter" => body.as_str().map_or("counter".to_owned(), |name| format!("counter name {}", quoted(name))),
        "log" => log(body),
        "limit" => limit(body),
        "quota" => quota(body),
        "ct count" => format!("ct count {}{}", over(body), part(body, "val")),
        "ct helper" | "ct timeout" | "ct expectation" => {
            format!("{word} set {}", quoted(body.as_str().unwrap_or_default()))
        }
        "reject" => reject(body),
        "mangle" => mangle(body),
        "vmap" => map(body, "vmap"),
        "set" | "map" => dynamic(body),
        "meter" => {
            let size = body.get("size").map(|size| format!(" size {size}")).unwrap_or_default();
            let nested = body.get("stmt").map(self::statement).unwrap_or_default();
            format!("meter {}{size} {{ {} {nested} }}", text(body, "name"), part(body, "key"))
        }
        "dnat" | "snat" => format!("{word}{} to {}", family(body), endpoint(body)),
        "redirect" | "masquerade" => match body.get("port") {
            Some(port) => format!("{word} to :{}", value(port)),
            None => word.to_owned(),
        },
        "xt" => format!("xt {} {}", text(body, "type"), quoted(text(body, "name"))),
        _ => verdict_or_value(statement),
    }
}

/// A verdict, or what else a map may give.
pub(super) fn verdict_or_value(data: &Value) -> String {
    match first(data) {
        Some((word @ ("jump" | "goto"), body)) => format!("{word} {}", text(body, "target")),
        Some((word, Value::Null)) => word.to_owned(),
        _ => value(data),
    }
}

/// Any value: a literal, a set, a range, an expression.
pub(super) fn value(value_: &Value) -> String {
    match value_ {
        Value::String(text) if text.starts_with('@') || !needs_quotes(text) => text.clone(),
        Value::String(text) => quoted(text),
        Value::Array(list) => list.iter().map(value).collect::<Vec<_>>().join(","),
        Value::Object(_) => expression(value_),
        _ => plain(value_),
    }
}

fn expression(object: &Value) -> String {
    let Some((word, body)) = first(object) else { return plain(object) };
    match word {
        "payload" if body.get("protocol").is_some() => format!("{} {}", text(body, "protocol"), text(body, "field")),
        "meta" => meta(text(body, "key")),
        "ct" => {
            let direction = body.get("dir").and_then(Value::as_str).map(|dir| format!("{dir} ")).unwrap_or_default();
            format!("ct {direction}{}", text(body, "key"))
        }
        "fib" => format!("fib {} {}", list(body.get("flags"), " . "), text(body, "result")),
        "tcp option" => format!("tcp option {} {}", text(body, "name"), text(body, "field")),
        "numgen" => format!("numgen {} mod {}", text(body, "mode"), part(body, "mod")),
        "concat" => list(Some(body), " . "),
        "prefix" => format!("{}/{}", text(body, "addr"), part(body, "len")),
        "range" => list(Some(body), "-"),
        "set" => format!("{{ {} }}", list(Some(body), ", ")),
        "elem" => body.get("val").map(value).unwrap_or_default(),
        "map" => map(body, "map"),
        "&" | "|" | "^" | "<<" | ">>" => operation(word, body),
        _ => plain(object),
    }
}

fn comparison(body: &Value) -> String {
    let none = Value::Null;
    let (left, right) = (body.get("left").unwrap_or(&none), body.get("right").unwrap_or(&none));
    let op = text(body, "op");
    if let Some((flags, mask)) = masked_flags(left).filter(|_| op == "==" || op == "!=") {
        let sign = if op == "!=" { "!= " } else { "" };
        return format!("{flags} {sign}{} / {}", value(right), value(mask));
    }
    let is_masked = matches!(first(left), Some(("&" | "|" | "^", _)));
    // A bare `tcp flags syn` asks for any of the bits, so equality has to be spelled out for bit fields.
    let bits = is_masked || (value(left) == "tcp flags");
    let sign = match op {
        "==" if !bits => String::new(),
        "in" => String::new(),
        _ => format!("{op} "),
    };
    let right = match (first(left), right) {
        (Some(("fib", _)), Value::Bool(found)) => (if *found { "exists" } else { "missing" }).to_owned(),
        _ => marked(left, right),
    };
    format!("{} {sign}{right}", value(left))
}

fn mangle(body: &Value) -> String {
    let (key, set) = (body.get("key").unwrap_or(&Value::Null), body.get("value").unwrap_or(&Value::Null));
    format!("{} set {}", value(key), marked(key, set))
}

fn operation(word: &str, operands: &Value) -> String {
    match operands.as_array().map(Vec::as_slice) {
        Some([left, right]) => format!("{} {word} {}", value(left), marked(left, right)),
        _ => list(Some(operands), &format!(" {word} ")),
    }
}

/// Seconds as nft writes them: `1h30m`.
fn duration(seconds: u64) -> String {
    let units = [("d", 86_400, u64::MAX), ("h", 3_600, 24), ("m", 60, 60), ("s", 1, 60)];
    let parts = units.iter().map(|(unit, length, wrap)| (seconds / length % wrap, unit));
    parts.filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
}

fn masked_flags(left: &Value) -> Option<(String, &Value)> {
    let ("&", body) = first(left)? else { return None };
    let [inner, mask] = body.as_array()?.as_slice() else { return None };
    let shown = value(inner);
    (shown == "tcp flags").then_some((shown, mask))
}

/// nft quotes the names of interfaces, times and labels, and shows marks in hexadecimal.
fn marked(left: &Value, right: &Value) -> String {
    let key = value(left);
    let bare = key.split(" & ").next().unwrap_or(&key);
    match bare {
        "iifname" | "oifname" | "iif" | "oif" | "meta time" | "meta hour" | "ct helper" => {
            every(right, &|text| quoted(text))
        }
        "meta mark" | "ct mark" => marks(right),
        _ => value(right),
    }
}

fn every(right: &Value, show: &dyn Fn(&str) -> String) -> String {
    match right {
        Value::String(text) if !text.starts_with('@') => show(text),
        Value::Object(object) => match object.iter().next() {
            Some((word, Value::Array(members))) if word == "set" || word == "range" => {
                let shown: Vec<String> = members.iter().map(|member| every(member, show)).collect();
                if word == "set" { format!("{{ {} }}", shown.join(", ")) } else { shown.join("-") }
            }
            _ => value(right),
        },
        _ => value(right),
    }
}

fn marks(right: &Value) -> String {
    right.as_u64().map_or_else(|| value(right), |mark| format!("{mark:#010x}"))
}

fn meta(key: &str) -> String {
    match key {
        "iif" | "oif" | "iifname" | "oifname" => key.to_owned(),
        _ => format!("meta {key}"),
    }
}

fn log(body: &Value) -> String {
    let mut words = vec!["log".to_owned()];
    for name in ["prefix", "group", "snaplen", "queue-threshold", "level", "flags"] {
        match body.get(name) {
            Some(Value::String(shown)) if name == "prefix" => words.push(format!("prefix {}", quoted(shown))),
            Some(shown) => words.push(format!("{name} {}", value(shown))),
            None => {}
        }
    }
    words.join(" ")
}

fn limit(body: &Value) -> String {
    if let Some(name) = body.as_str() {
        return format!("limit name {}", quoted(name));
    }
    let unit = body.get("rate_unit").and_then(Value::as_str).map(|unit| format!(" {unit}")).unwrap_or_default();
    let burst = body.get("burst").and_then(Value::as_u64).filter(|burst| *burst != 5 && *burst != 0);
    let burst = burst.map(|burst| format!(" burst {burst} packets")).unwrap_or_default();
    format!("limit rate {}{}{unit}/{}{burst}", over(body), part(body, "rate"), text(body, "per"))
}

fn quota(body: &Value) -> String {
    match body.as_str() {
        Some(name) => format!("quota name {}", quoted(name)),
        None => format!("quota {}{} {}", over(body), part(body, "val"), text(body, "val_unit")),
    }
}

fn over(body: &Value) -> &'static str {
    if body.get("inv") == Some(&Value::Bool(true)) { "over " } else { "" }
}

fn reject(body: &Value) -> String {
    match (text(body, "type"), text(body, "expr")) {
        ("", _) | ("icmpx", "port-unreachable") => "reject".to_owned(),
        ("tcp reset", _) => "reject with tcp reset".to_owned(),
        (kind, expression) => format!("reject with {kind} {expression}"),
    }
}

fn dynamic(body: &Value) -> String {
    let element = body.get("elem").unwrap_or(&Value::Null);
    let inner = element.get("elem").unwrap_or(element);
    let timeout = inner
        .get("timeout")
        .and_then(Value::as_u64)
        .map(|timeout| format!(" timeout {}", duration(timeout)))
        .unwrap_or_default();
    let nested = body
        .get("stmt")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|nested| format!(" {}", statement(nested)));
    let nested: String = nested.collect();
    let name = body.get("set").or_else(|| body.get("map")).map(value).unwrap_or_default();
    format!("{} {name} {{ {}{timeout}{nested} }}", text(body, "op"), value(element))
}

fn map(body: &Value, word: &str) -> String {
    let key = body.get("key").unwrap_or(&Value::Null);
    let data = match body.get("data") {
        Some(Value::Object(object)) => {
            let pairs =
                object.get("set").and_then(Value::as_array).into_iter().flatten().map(|pair| match pair.as_array() {
                    Some(pair) => match pair.as_slice() {
                        [from, to] => format!("{} : {}", marked(key, from), verdict_or_value(to)),
                        _ => plain(&Value::Null),
                    },
                    None => value(pair),
                });
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Some(name) => value(name),
        None => String::new(),
    };
    format!("{} {word} {data}", value(key))
}

fn family(body: &Value) -> String {
    body.get("family").and_then(Value::as_str).map(|family| format!(" {family}")).unwrap_or_default()
}

fn endpoint(body: &Value) -> String {
    let address = body.get("addr").map(value).unwrap_or_default();
    let port = body.get("port").map(|port| format!(":{}", value(port))).unwrap_or_default();
    if address.contains(':') && !port.is_empty() { format!("[{address}]{port}") } else { format!("{address}{port}") }
}

fn list(value_: Option<&Value>, between: &str) -> String {
    match value_ {
        Some(Value::Array(list)) => list.iter().map(value).collect::<Vec<_>>().join(between),
        Some(single) => value(single),
        None => String::new(),
    }
}

fn first(object: &Value) -> Option<(&str, &Value)> {
    object.as_object()?.iter().next().map(|(word, body)| (word.as_str(), body))
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn part(body: &Value, name: &str) -> String {
    body.get(name).map(value).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    value.to_string()
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn needs_quotes(text: &str) -> bool {
    text.chars().any(char::is_whitespace)
}
