#include "auth/password.h"

#include "auth/crypto.h"
#include "auth/prepare.h"
#include "base/memory.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(AUTH_PASSWORD_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "libcrypt would cut passwords");
_Static_assert((int)PASSWORD_HASH_MAX >= (int)CRYPT_OUTPUT_SIZE, "room for any hash");

enum { HASH_LEN_MIN = 50 }; /* shorter ones lack a part */

const char password_decoy[] =
    "$y$j9T$GxstGiM3Cl2Akf7oVWOfq.$xrsLyx7dqKmz2SuAb15xqOwqyN8hxQJ1w9T6nrm4Sx5";

/* False where libcrypt cannot. */
static bool run_crypt(struct span password, const char *setting, char out[PASSWORD_HASH_MAX])
{
    struct crypt_data *data = mem_zalloc(sizeof *data);

    memcpy(data->input, password.ptr, password.len);
    const char *hash = crypt_rn(data->input, setting, data, sizeof *data);
    if (hash != NULL)
        snprintf(out, PASSWORD_HASH_MAX, "%s", hash);
    crypto_cleanse(data, sizeof *data);
    free(data);
    return hash != NULL;
}

void password_hash(struct span password, char hash[PASSWORD_HASH_MAX])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];

    if (crypt_gensalt_rn(NULL, 0, NULL, 0, setting, sizeof setting) == NULL ||
        !run_crypt(password, setting, hash)) {
        fprintf(stderr, "smarthop: libcrypt cannot hash by the method that it prefers\n");
        abort();
    }
}

bool password_matches(struct span password, const char *hash)
{
    char computed[PASSWORD_HASH_MAX];

    if (!run_crypt(password, hash, computed))
        return false;
    bool same = crypto_equal(span_cstr(computed), span_cstr(hash));
    crypto_cleanse(computed, sizeof computed);
    return same;
}

bool password_hash_is_usable(const char *hash)
{
    size_t len = strlen(hash);

    return len >= HASH_LEN_MIN && len < PASSWORD_HASH_MAX && crypt_checksalt(hash) == CRYPT_SALT_OK;
}
