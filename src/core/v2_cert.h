/* Certificates and their keys as PEM texts: reading, the names they serve,
 * and making one of our own. On libcrypto; no TLS here. */

#ifndef V2_CERT_H
#define V2_CERT_H

#include <openssl/x509.h>

typedef struct {
    X509             *leaf;
    STACK_OF(X509)   *chain;            /* what else the text held, or NULL */
    EVP_PKEY         *key;
    char             *names;            /* zero-terminated, one by one */
    size_t            names_len;
} v2_cert_t;

/* Reads a leaf with its chain, and the key that must match it. `c` is filled
 * or, with V2_ERROR and one line in why, empty. */
v2_int_t     v2_cert_read(v2_cert_t *c, const void *cert, size_t cert_len,
    const void *key, size_t key_len, char *why, size_t size);
void         v2_cert_done(v2_cert_t *c);        /* also of an empty one */

/* Does the list hold this name (lower case, "" when a client sent none) or
 * "*" and what follows its first label? */
int          v2_cert_covers(const char *names, size_t names_len,
    const char *name);

/* A certificate of its own for `name` (a name or an address), P-256, ten years;
 * PEM texts on the heap. V2_ERROR: logged. */
v2_int_t     v2_cert_self_signed(const char *name, char **cert, char **key);

/* The first error that libcrypto noted, a static text, or `text` when there is
 * none; forgets them all. */
const char  *v2_cert_reason(const char *text);

#endif
