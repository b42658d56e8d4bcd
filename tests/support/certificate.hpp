// Certificates made on the spot.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace millrace::test {

struct Certificate {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* x509 = X509_new();
    Certificate() = default;
    Certificate(const Certificate&) = delete;
    ~Certificate() {
        X509_free(x509);
        EVP_PKEY_free(key);
    }
};

inline void add_extension(X509* certificate, int id, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value.c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/// A certificate for `name` signed by `authority` (itself if null); `names` is its subjectAltName.
inline std::unique_ptr<Certificate> issue(const std::string& name, const std::string& names,
                                          Certificate* authority, long valid_seconds = 3600) {
    static long serial = 1;
    auto made = std::make_unique<Certificate>();
    X509* x = made->x509;
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), -7200);
    X509_gmtime_adj(X509_getm_notAfter(x), valid_seconds);
    X509_set_pubkey(x, made->key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(authority ? authority->x509 : x));
    if (authority == nullptr) add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    if (!names.empty()) add_extension(x, NID_subject_alt_name, names);
    X509_sign(x, authority ? authority->key : made->key, EVP_sha256());
    return made;
}

inline std::string pem_of(X509* certificate) {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return text;
}

/// The private key, protected by `passphrase` unless that is empty.
inline std::string pem_of(EVP_PKEY* key, const std::string& passphrase = "") {
    BIO* bio = BIO_new(BIO_s_mem());
    const auto* words = reinterpret_cast<const unsigned char*>(passphrase.data());
    const bool locked = !passphrase.empty();
    PEM_write_bio_PrivateKey(bio, key, locked ? EVP_aes_256_cbc() : nullptr, locked ? words : nullptr,
                             static_cast<int>(passphrase.size()), nullptr, nullptr);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return text;
}

}  // namespace millrace::test
