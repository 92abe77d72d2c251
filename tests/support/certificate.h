/* certificate: self-signed certificates with their keys as PEM files, for tests of TLS. */
#ifndef SMARTHOP_TESTS_CERTIFICATE_H
#define SMARTHOP_TESTS_CERTIFICATE_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { CERTIFICATE_PATH = 300 };

struct certificate {
    char path[CERTIFICATE_PATH];
    char key_path[CERTIFICATE_PATH];
};

static inline X509 *certificate_sign(EVP_PKEY *key, const char *name)
{
    X509 *x = X509_new();
    X509_NAME *subject = X509_get_subject_name(x);
    char names[160];

    snprintf(names, sizeof names, "DNS:%s", name);
    X509_EXTENSION *alternative = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, subject);
    X509_set_pubkey(x, key);
    X509_add_ext(x, alternative, -1);
    X509_EXTENSION_free(alternative);
    X509_sign(x, key, EVP_sha256());
    return x;
}

static inline FILE *certificate_open(const char *path)
{
    FILE *file = fopen(path, "w");

    if (file == NULL) {
        perror(path);
        abort();
    }
    return file;
}

/* For a host of this name; the files lie in `folder`. */
static inline void certificate_make(struct certificate *c, const char *folder, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = certificate_sign(key, name);

    snprintf(c->path, sizeof c->path, "%s/%s.pem", folder, name);
    snprintf(c->key_path, sizeof c->key_path, "%s/%s.key", folder, name);
    FILE *file = certificate_open(c->path);
    if (PEM_write_X509(file, x) != 1)
        abort();
    fclose(file);
    file = certificate_open(c->key_path);
    if (PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1)
        abort();
    fclose(file);
    X509_free(x);
    EVP_PKEY_free(key);
}

#endif
