#include "auth/certificate.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

struct err certificate_fingerprint(const char *file, struct fingerprint *out)
{
    FILE *stream = fopen(file, "re");

    if (stream == NULL)
        return err_system(errno, "open certificate");
    X509 *certificate = PEM_read_X509(stream, NULL, NULL, NULL);
    bool good =
        certificate != NULL && X509_digest(certificate, EVP_sha256(), out->bytes, NULL) == 1;
    X509_free(certificate);
    fclose(stream);
    ERR_clear_error();
    return good ? ERR_OK : err_make(ERR_INVALID, "certificate");
}
