use super::*;

#[test]
fn a_contract_is_four_numbers_and_another_is_refused() {
    let own = Contract::OWN;
    assert_eq!(own.to_string().parse(), Ok(own));
    for text in ["1.3.5", "1.3.5.1.1", "01.3.5.1", "1.3.5.x", "", "+1.3.5.1"] {
        assert!(text.parse::<Contract>().is_err(), "{text}");
    }
    let other = Contract { encoding: own.encoding + 1, ..own };
    let said = other.check().unwrap_err().to_string();
    assert!(said.contains(&other.to_string()) && said.contains(&own.to_string()), "{said}");
}

#[test]
fn a_package_is_asked_for_by_layer_name_and_digest() {
    let digest = crate::digest::Digest::of(b"x");
    for text in [format!("libs/libc6={digest}"), format!("libs/libc6={digest}@debs/libc6_1_amd64.deb")] {
        assert_eq!(text.parse::<Asked>().unwrap().to_string(), text);
    }
    for text in [
        format!("libc6={digest}"),
        format!("../libc6={digest}"),
        format!("libs/../libc6={digest}"),
        format!("libs/={digest}"),
        format!("libs/libc6={}", digest.hex()),
        "libs/libc6=".to_owned(),
    ] {
        assert!(text.parse::<Asked>().is_err(), "{text}");
    }
}
