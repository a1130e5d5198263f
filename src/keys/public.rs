//! From key material in DER to the public half, and nothing else.
//!
//! Reads PKCS#1 (RFC 8017 appendix A.1), PKCS#8 and its version 2 (RFC 5958, RFC 8410) and
//! SubjectPublicKeyInfo (RFC 5280 §4.1.2.7). Private numbers are borrowed from the caller's buffer,
//! never copied, but for an Ed25519 seed, which is wiped. A private RSA key whose primes do not
//! multiply to its modulus is refused: its public half would verify nothing.

use super::Algorithm;
use super::fault::{Fault, MAX_RSA_BITS, MIN_RSA_BITS};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Tag, Tagged};
use ed25519_dalek::{SigningKey, VerifyingKey};
use pkcs1::{RsaPrivateKeyRef, RsaPublicKeyRef};
use pkcs8::PrivateKeyInfoRef;
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfoRef};
use zeroize::Zeroizing;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A public key as `p=` publishes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PublicKey {
    /// What kind.
    pub(crate) algorithm: Algorithm,
    /// SubjectPublicKeyInfo for RSA, as opendkim-genkey and every verifier have it; the 32 octets
    /// for Ed25519 (RFC 8463 §4).
    octets: Box<[u8]>,
}

/// Which half a file held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Private,
    Public,
}

impl PublicKey {
    /// The value of `p=`.
    pub(crate) fn base64(&self) -> String {
        STANDARD.encode(&self.octets)
    }

    /// The value of `k=` (RFC 6376 §3.6.1, RFC 8463 §4).
    pub(super) fn key_type(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Rsa { .. } => "rsa",
            Algorithm::Ed25519 => "ed25519",
        }
    }

    /// The public half of an Ed25519 seed (RFC 8032 §5.1.5).
    pub(super) fn from_ed25519_seed(seed: &[u8]) -> Result<Self, Fault> {
        let mut copy = Zeroizing::new([0u8; 32]);
        if seed.len() != copy.len() {
            return Err(Fault::Damaged("an Ed25519 private key is 32 octets"));
        }
        copy.copy_from_slice(seed);
        let public = SigningKey::from_bytes(&copy).verifying_key();
        Ok(Self::ed25519(public.as_bytes()))
    }

    /// An Ed25519 public key as it stands in `p=`.
    pub(super) fn from_ed25519_octets(octets: &[u8]) -> Result<Self, Fault> {
        let octets = <&[u8; 32]>::try_from(octets).map_err(|_| Fault::Damaged("an Ed25519 public key is 32 octets"))?;
        VerifyingKey::from_bytes(octets).map_err(|_| Fault::Damaged("the octets are no point of the curve Ed25519"))?;
        Ok(Self::ed25519(octets))
    }

    fn ed25519(octets: &[u8; 32]) -> Self {
        Self {
            algorithm: Algorithm::Ed25519,
            octets: Box::new(*octets),
        }
    }

    fn from_rsa(key: &RsaPublicKeyRef<'_>) -> Result<Self, Fault> {
        let bits = bit_length(key.modulus);
        if bits < MIN_RSA_BITS {
            return Err(Fault::TooShort(bits));
        }
        if bits > MAX_RSA_BITS {
            return Err(Fault::TooLong(bits));
        }
        let odd = |number: UintRef<'_>| number.as_bytes().last().is_some_and(|last| last & 1 == 1);
        if !odd(key.modulus) || !odd(key.public_exponent) || key.public_exponent.as_bytes() == [1] {
            return Err(Fault::Damaged("its modulus or exponent is no RSA number"));
        }
        let octets = encode_rsa(key).map_err(|_| Fault::Damaged("its numbers cannot be written as a public key"))?;
        Ok(Self {
            algorithm: Algorithm::Rsa { bits },
            octets: octets.into_boxed_slice(),
        })
    }
}

/// Reads a key in any of the DER forms. Fails with [`Fault::Unfinished`] when the outer length says
/// that octets are missing at the end.
pub(super) fn from_der(der: &[u8]) -> Result<(PublicKey, Half), Fault> {
    let der = exact_sequence(der)?;
    if let Ok(info) = PrivateKeyInfoRef::from_der(der) {
        return Ok((from_pkcs8(&info)?, Half::Private));
    }
    if let Ok(key) = RsaPrivateKeyRef::from_der(der) {
        return Ok((from_rsa_private(&key)?, Half::Private));
    }
    if let Ok(info) = SubjectPublicKeyInfoRef::from_der(der) {
        return Ok((from_spki(&info)?, Half::Public));
    }
    if let Ok(key) = RsaPublicKeyRef::from_der(der) {
        return Ok((PublicKey::from_rsa(&key)?, Half::Public));
    }
    Err(name_foreign_der(der))
}

fn from_pkcs8(info: &PrivateKeyInfoRef<'_>) -> Result<PublicKey, Fault> {
    let octets = info.private_key.as_bytes();
    match info.algorithm.oid {
        RSA => {
            let key = RsaPrivateKeyRef::from_der(octets)
                .map_err(|_| Fault::Damaged("the RSA key inside the PKCS#8 envelope cannot be read"))?;
            from_rsa_private(&key)
        }
        ED25519 => {
            // RFC 8410 §7: an OCTET STRING in the OCTET STRING.
            let seed = <&OctetStringRef>::from_der(octets)
                .map_err(|_| Fault::Damaged("the Ed25519 key inside the PKCS#8 envelope cannot be read"))?;
            let key = PublicKey::from_ed25519_seed(seed.as_bytes())?;
            match info.public_key.map(|stated| stated.as_bytes()) {
                Some(stated) if stated != Some(&key.octets) => Err(Fault::Damaged(
                    "the public half written in it does not belong to its private half",
                )),
                _ => Ok(key),
            }
        }
        other => Err(Fault::Algorithm(algorithm_name(&other))),
    }
}

fn from_rsa_private(key: &RsaPrivateKeyRef<'_>) -> Result<PublicKey, Fault> {
    let public = PublicKey::from_rsa(&key.public_key())?;
    if key.other_prime_infos.is_some() {
        return Err(Fault::Damaged("it has more than two primes, which signers do not read"));
    }
    let (p, q) = (key.prime1.as_bytes(), key.prime2.as_bytes());
    if !is_product(p, q, key.modulus.as_bytes()) {
        return Err(Fault::Damaged("its primes do not multiply to its modulus"));
    }
    Ok(public)
}

fn from_spki(info: &SubjectPublicKeyInfoRef<'_>) -> Result<PublicKey, Fault> {
    let octets = info
        .subject_public_key
        .as_bytes()
        .ok_or(Fault::Damaged("its bit string is no whole number of octets"))?;
    match info.algorithm.oid {
        RSA => {
            let key = RsaPublicKeyRef::from_der(octets)
                .map_err(|_| Fault::Damaged("the RSA numbers inside it cannot be read"))?;
            PublicKey::from_rsa(&key)
        }
        ED25519 => PublicKey::from_ed25519_octets(octets),
        other => Err(Fault::Algorithm(algorithm_name(&other))),
    }
}

fn encode_rsa(key: &RsaPublicKeyRef<'_>) -> der::Result<Vec<u8>> {
    let numbers = key.to_der()?;
    SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifier {
            oid: RSA,
            parameters: Some(AnyRef::NULL),
        },
        subject_public_key: BitStringRef::from_bytes(&numbers)?,
    }
    .to_der()
}

fn bit_length(number: UintRef<'_>) -> u32 {
    let octets = number.as_bytes();
    let leading = octets.first().map_or(0, |first| first.leading_zeros());
    (octets.len() as u32).saturating_mul(8).saturating_sub(leading)
}

/// Is `p * q = n`? All big-endian without leading zeros. Schoolbook, in wiped memory.
fn is_product(p: &[u8], q: &[u8], n: &[u8]) -> bool {
    let (p, q, n) = (limbs(p), limbs(q), limbs(n));
    if p.len() + q.len() > n.len() + 2 {
        return false;
    }
    let mut product = Zeroizing::new(vec![0u32; p.len() + q.len()]);
    for (i, &a) in p.iter().enumerate() {
        let mut carry = 0u64;
        for (slot, &b) in product[i..].iter_mut().zip(q.iter().chain([&0])) {
            carry += u64::from(*slot) + u64::from(a) * u64::from(b);
            *slot = carry as u32;
            carry >>= 32;
        }
    }
    let len = product.len().max(n.len());
    (0..len).all(|i| product.get(i).copied().unwrap_or(0) == n.get(i).copied().unwrap_or(0))
}

/// Little-endian limbs of a big-endian number.
fn limbs(number: &[u8]) -> Zeroizing<Vec<u32>> {
    let fold = |chunk: &[u8]| chunk.iter().fold(0u32, |limb, &octet| limb << 8 | u32::from(octet));
    Zeroizing::new(number.rchunks(4).map(fold).collect())
}

/// The outer SEQUENCE of `der` without the line break that an editor may have put behind it.
fn exact_sequence(der: &[u8]) -> Result<&[u8], Fault> {
    let len = match der {
        [] | [0x30] => return Err(Fault::Unfinished),
        [0x30, len @ 0..=0x7f, ..] => 2 + usize::from(*len),
        [0x30, form @ 0x81..=0x83, rest @ ..] => {
            let count = usize::from(form & 0x7f);
            let octets = rest.get(..count).ok_or(Fault::Unfinished)?;
            2 + count + octets.iter().fold(0usize, |len, &octet| len << 8 | usize::from(octet))
        }
        _ => return Err(Fault::Garbage("it is neither text nor DER")),
    };
    match der.split_at_checked(len) {
        None => Err(Fault::Unfinished),
        Some((sequence, rest)) if rest.trim_ascii().is_empty() => Ok(sequence),
        Some(_) => Err(Fault::Garbage("there is something behind the DER structure")),
    }
}

/// What DER that is none of ours is, told from the shape of its first members.
fn name_foreign_der(der: &[u8]) -> Fault {
    let Ok(members) = <Vec<AnyRef<'_>>>::from_der(der) else {
        return Fault::Garbage("it begins like DER and is none");
    };
    let tags: Vec<Tag> = members.iter().map(Tagged::tag).collect();
    match tags[..] {
        // RFC 5958 §3: the algorithm, then the encrypted octets.
        [Tag::Sequence, Tag::OctetString] => Fault::Encrypted,
        // RFC 5280 §4.1, RFC 2986 §4.2: a body, an algorithm, a signature.
        [Tag::Sequence, Tag::Sequence, Tag::BitString] => Fault::Certificate,
        // RFC 5915 §3: ECPrivateKey.
        [Tag::Integer, Tag::OctetString, ..] => Fault::Algorithm("EC".to_owned()),
        // OpenSSL's DSA private key: six numbers.
        [
            Tag::Integer,
            Tag::Integer,
            Tag::Integer,
            Tag::Integer,
            Tag::Integer,
            Tag::Integer,
        ] => Fault::Algorithm("DSA".to_owned()),
        _ => Fault::Garbage("its DER structure is no key"),
    }
}

fn algorithm_name(oid: &ObjectIdentifier) -> String {
    let text = oid.to_string();
    let name = match text.as_str() {
        "1.2.840.10045.2.1" => "EC",
        "1.2.840.113549.1.1.10" => "RSA-PSS",
        "1.2.840.10040.4.1" => "DSA",
        "1.2.840.113549.1.3.1" => "DH",
        "1.3.101.110" => "X25519",
        "1.3.101.111" => "X448",
        "1.3.101.113" => "Ed448",
        _ => return text,
    };
    name.to_owned()
}
