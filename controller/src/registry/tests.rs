//! Tokens, names, roles and revocations, over a real store.

use controller_store::SledStore;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

fn registry(directory: &std::path::Path) -> Registry {
    Registry::new(Arc::new(SledStore::open(directory).unwrap().0))
}

#[test]
fn a_join_token_works_once_and_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path());
    let node = "es-1".parse().unwrap();
    let token = registry.create_join_token(None, 5000, NOW).unwrap();
    let late = token.expires_at.plus_millis(1);
    assert!(matches!(registry.take_join_token(&token.token, &node, late), Err(RegistryError::ExpiredToken(_))));
    registry.take_join_token(&token.token, &node, NOW).unwrap();
    assert!(matches!(registry.take_join_token(&token.token, &node, NOW), Err(RegistryError::UnknownToken)));
    assert!(matches!(registry.take_join_token("", &node, NOW), Err(RegistryError::UnknownToken)));
}

#[test]
fn a_name_is_taken_over_only_by_a_token_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path());
    let node: NodeName = "es-1".parse().unwrap();
    registry.issued(&MemberName::Node(node.clone()), "ab", NOW.plus_millis(1000), NOW).unwrap();
    let any = registry.create_join_token(None, 5000, NOW).unwrap();
    assert!(matches!(registry.take_join_token(&any.token, &node, NOW), Err(RegistryError::NameTaken(_))));
    let named = registry.create_join_token(Some(node.clone()), 5000, NOW).unwrap();
    let other = "es-2".parse().unwrap();
    assert!(matches!(registry.take_join_token(&named.token, &other, NOW), Err(RegistryError::WrongNode(_))));
    registry.take_join_token(&named.token, &node, NOW).unwrap();
}

#[test]
fn revocation_names_the_certificates_that_were_still_valid() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path());
    let who = MemberName::Node("es-1".parse().unwrap());
    registry.issued(&who, "01", NOW.plus_millis(10), NOW).unwrap();
    registry.issued(&who, "02", NOW.plus_millis(90), NOW).unwrap();
    let later = NOW.plus_millis(50);
    assert_eq!(registry.revoke(&who, later).unwrap(), ["02"]);
    assert!(registry.revoked(later).unwrap().contains("02"));
    assert_eq!(registry.nodes().unwrap(), []);
    assert!(registry.revoked(NOW.plus_millis(100)).unwrap().is_empty());
    let nobody = MemberName::Operator("nobody".parse().unwrap());
    assert!(matches!(registry.revoke(&nobody, NOW), Err(RegistryError::Unknown(_))));
}

#[test]
fn a_login_token_gives_the_operator_and_the_role() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path());
    let alice: OperatorName = "alice".parse().unwrap();
    let token = registry.add_operator(&alice, Role::Approver, NOW).unwrap();
    assert_eq!(registry.take_login_token(&token.token, NOW).unwrap(), (alice, Role::Approver));
    assert!(registry.take_login_token(&token.token, NOW).is_err());
}

#[test]
fn an_operator_is_held_to_one_key_until_an_admin_says_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path());
    let alice: OperatorName = "alice".parse().unwrap();
    let key = |letter: &str| format!("ed25519:{}=", letter.repeat(43)).parse::<PublicKey>().unwrap();
    let (first, other) = (key("A"), key("I"));
    registry.add_operator(&alice, Role::Approver, NOW).unwrap();
    registry.hold_to_key(&alice, &first).unwrap();
    registry.hold_to_key(&alice, &first).unwrap();
    assert!(matches!(registry.hold_to_key(&alice, &other), Err(RegistryError::OtherKey(_))));
    registry.add_operator(&alice, Role::Approver, NOW).unwrap();
    registry.hold_to_key(&alice, &other).unwrap();
}

#[test]
fn operators_are_listed_by_what_they_may_do_now() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path());
    for (name, role) in
        [("dora", Role::Approver), ("bob", Role::Viewer), ("alice", Role::Admin), ("carol", Role::Approver)]
    {
        registry.add_operator(&name.parse().unwrap(), role, NOW).unwrap();
    }
    registry.add_operator(&"carol".parse().unwrap(), Role::Operator, NOW).unwrap();
    let names = || registry.operators(Role::Approver).unwrap().iter().map(OperatorName::to_string).collect::<Vec<_>>();
    assert_eq!(names(), ["alice", "dora"]);
    registry.revoke(&MemberName::Operator("alice".parse().unwrap()), NOW).unwrap();
    assert_eq!(names(), ["dora"]);
}

#[test]
fn a_login_token_dies_with_its_operator() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path());
    let bob: OperatorName = "bob".parse().unwrap();
    let token = registry.add_operator(&bob, Role::Viewer, NOW).unwrap();
    registry.revoke(&MemberName::Operator(bob.clone()), NOW).unwrap();
    assert!(matches!(registry.take_login_token(&token.token, NOW), Err(RegistryError::UnknownToken)));
    let again = registry.add_operator(&bob, Role::Viewer, NOW).unwrap();
    registry.take_login_token(&again.token, NOW).unwrap();
}

#[test]
fn what_has_expired_is_forgotten_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path());
    let (short, long) = (MemberName::Node("es-1".parse().unwrap()), MemberName::Node("es-2".parse().unwrap()));
    let old = registry.create_join_token(None, 1000, NOW).unwrap();
    let new = registry.create_join_token(None, 5000, NOW).unwrap();
    registry.issued(&short, "01", NOW.plus_millis(1000), NOW).unwrap();
    registry.issued(&long, "02", NOW.plus_millis(5000), NOW).unwrap();
    registry.revoke(&short, NOW).unwrap();
    registry.revoke(&long, NOW).unwrap();
    let later = NOW.plus_millis(2000);
    registry.sweep(later).unwrap();
    assert_eq!(registry.revoked(NOW).unwrap().into_iter().collect::<Vec<_>>(), ["02"]);
    let node = "es-3".parse().unwrap();
    assert!(matches!(registry.take_join_token(&old.token, &node, later), Err(RegistryError::UnknownToken)));
    registry.take_join_token(&new.token, &node, later).unwrap();
}

#[test]
fn the_store_never_holds_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SledStore::open(directory.path()).unwrap().0);
    let token = Registry::new(Arc::clone(&store)).create_join_token(None, 5000, NOW).unwrap().token;
    let rows = scan_prefix(&*store, PARTITION, "", Order::Ascending, 10).unwrap();
    assert!(
        rows.iter().all(|(key, row)| !key.contains(&token) && !String::from_utf8_lossy(&row.value).contains(&token))
    );
}
