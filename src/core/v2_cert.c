/* Certificates and their keys. Runs in workers and the builder (reading) and in
 * the builder (making). No file, no socket, no TLS.
 *
 * Invariants
 *  1. A v2_cert_t is whole, with a key that matches, or empty.
 *  2. Nothing here ever asks at a terminal for a password.
 *  3. The list of names always holds the common name, "" without one, since
 *     a client without SNI is taken for one that sends "". */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_cert.h"
#include "v2_log.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define V2_CERT_DAYS        3652


static v2_int_t v2_cert_read_chain(v2_cert_t *c, const void *text,
    size_t len);
static v2_int_t v2_cert_read_key(v2_cert_t *c, const void *text, size_t len);
static int v2_cert_no_password(char *buf, int size, int rw, void *data);
static v2_int_t v2_cert_names(v2_cert_t *c);
static v2_int_t v2_cert_name_add(v2_cert_t *c, const ASN1_STRING *name);
static X509 *v2_cert_make(const char *name, EVP_PKEY *key);
static v2_int_t v2_cert_make_name(X509 *x, const char *name);
static GENERAL_NAME *v2_cert_make_san(const char *name);
static char *v2_cert_pem(X509 *x, EVP_PKEY *key);


v2_int_t
v2_cert_read(v2_cert_t *c, const void *cert, size_t cert_len,
    const void *key, size_t key_len, char *why, size_t size)
{
    const char  *what;

    memset(c, 0, sizeof(v2_cert_t));
    ERR_clear_error();

    if (v2_cert_read_chain(c, cert, cert_len) != V2_OK) {
        what = "certificate does not parse";

    } else if (v2_cert_read_key(c, key, key_len) != V2_OK) {
        what = "private key does not parse";

    } else if (X509_check_private_key(c->leaf, c->key) != 1) {
        what = "private key does not match the certificate";

    } else if (v2_cert_names(c) != V2_OK) {
        what = "names of the certificate do not parse";

    } else {
        return V2_OK;
    }

    (void) snprintf(why, size, "%s (%s)", what, v2_cert_reason("no reason"));
    v2_cert_done(c);

    return V2_ERROR;
}


void
v2_cert_done(v2_cert_t *c)
{
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    free(c->names);
    memset(c, 0, sizeof(v2_cert_t));
}


int
v2_cert_covers(const char *names, size_t names_len, const char *name)
{
    const char  *p, *tail;

    tail = strchr(name, '.');
    if (tail == NULL) {
        tail = "";
    }

    for (p = names; p < names + names_len; p += strlen(p) + 1) {
        if (strcmp(p, name) == 0 || (p[0] == '*' && strcmp(p + 1, tail) == 0))
        {
            return 1;
        }
    }

    return 0;
}


v2_int_t
v2_cert_self_signed(const char *name, char **cert, char **key)
{
    X509      *x;
    EVP_PKEY  *pkey;

    *cert = NULL;
    *key = NULL;
    ERR_clear_error();

    pkey = EVP_EC_gen("P-256");
    x = pkey != NULL ? v2_cert_make(name, pkey) : NULL;

    if (x != NULL) {
        *cert = v2_cert_pem(x, NULL);
        *key = v2_cert_pem(NULL, pkey);
    }

    X509_free(x);
    EVP_PKEY_free(pkey);

    if (*cert != NULL && *key != NULL) {
        return V2_OK;
    }

    v2_log(V2_LOG_ERR, NULL, 0, "certificate for \"%s\" cannot be made: %s",
           name, v2_cert_reason("out of memory"));

    free(*cert);
    free(*key);
    *cert = NULL;
    *key = NULL;

    return V2_ERROR;
}


const char *
v2_cert_reason(const char *text)
{
    const char     *reason;
    unsigned long   e;

    e = ERR_peek_error();
    reason = e != 0 ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();

    return reason != NULL ? reason : text;
}


static v2_int_t
v2_cert_read_chain(v2_cert_t *c, const void *text, size_t len)
{
    BIO            *bio;
    X509           *x;
    unsigned long   e;

    bio = BIO_new_mem_buf(text, (int) len);
    if (bio == NULL) {
        return V2_ERROR;
    }

    c->leaf = PEM_read_bio_X509(bio, NULL, v2_cert_no_password, NULL);
    x = c->leaf;

    while (x != NULL) {
        x = PEM_read_bio_X509(bio, NULL, v2_cert_no_password, NULL);

        if (x != NULL
            && ((c->chain == NULL && (c->chain = sk_X509_new_null()) == NULL)
                || sk_X509_push(c->chain, x) == 0))
        {
            X509_free(x);
            break;
        }
    }

    BIO_free(bio);

    if (c->leaf == NULL) {
        return V2_ERROR;
    }

    /* the text must have ended, not broken off */

    e = ERR_peek_last_error();

    if (ERR_GET_LIB(e) != ERR_LIB_PEM
        || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
    {
        return V2_ERROR;
    }

    ERR_clear_error();

    return V2_OK;
}


static v2_int_t
v2_cert_read_key(v2_cert_t *c, const void *text, size_t len)
{
    BIO  *bio;

    bio = BIO_new_mem_buf(text, (int) len);
    if (bio == NULL) {
        return V2_ERROR;
    }

    c->key = PEM_read_bio_PrivateKey(bio, NULL, v2_cert_no_password, NULL);

    BIO_free(bio);

    return c->key != NULL ? V2_OK : V2_ERROR;
}


/* libcrypto's own would ask at the terminal. */

static int
v2_cert_no_password(char *buf, int size, int rw, void *data)
{
    (void) buf;
    (void) size;
    (void) rw;
    (void) data;

    return 0;
}


/* The subject's common name (the last one, "" without any) and the DNS names,
 * for RejectUnknownSni. */

static v2_int_t
v2_cert_names(v2_cert_t *c)
{
    int                  i, at;
    v2_int_t             rc;
    X509_NAME           *subject;
    GENERAL_NAME        *name;
    GENERAL_NAMES       *sans;
    const ASN1_STRING   *cn;

    subject = X509_get_subject_name(c->leaf);
    cn = NULL;

    for (at = -1; ; ) {
        at = X509_NAME_get_index_by_NID(subject, NID_commonName, at);
        if (at < 0) {
            break;
        }

        cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    }

    rc = v2_cert_name_add(c, cn);

    sans = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);

    for (i = 0; rc == V2_OK && i < sk_GENERAL_NAME_num(sans); i++) {
        name = sk_GENERAL_NAME_value(sans, i);
        if (name->type == GEN_DNS) {
            rc = v2_cert_name_add(c, name->d.dNSName);
        }
    }

    GENERAL_NAMES_free(sans);
    ERR_clear_error();

    return rc;
}


static v2_int_t
v2_cert_name_add(v2_cert_t *c, const ASN1_STRING *name)
{
    int                    i, len;
    char                  *names, *p;
    const unsigned char   *data;

    len = name != NULL ? ASN1_STRING_length(name) : 0;
    data = name != NULL ? ASN1_STRING_get0_data(name) : NULL;

    if (len != 0 && memchr(data, 0, (size_t) len) != NULL) {
        return V2_OK;           /* no SNI is equal to it */
    }

    names = realloc(c->names, c->names_len + (size_t) len + 1);
    if (names == NULL) {
        return V2_ERROR;
    }

    p = names + c->names_len;

    for (i = 0; i < len; i++) {
        *p++ = (char) (data[i] >= 'A' && data[i] <= 'Z' ? data[i] | 0x20
                                                        : data[i]);
    }

    *p = '\0';

    c->names = names;
    c->names_len += (size_t) len + 1;

    return V2_OK;
}


static X509 *
v2_cert_make(const char *name, EVP_PKEY *key)
{
    X509      *x;
    uint8_t    serial[8];
    v2_int_t   rc;

    x = X509_new();
    if (x == NULL || RAND_bytes(serial, sizeof(serial)) != 1) {
        X509_free(x);
        return NULL;
    }

    serial[0] &= 0x7f;
    serial[0] |= 0x40;

    rc = X509_set_version(x, 2) == 1
         && ASN1_STRING_set(X509_get_serialNumber(x), serial,
                            sizeof(serial)) == 1
         && X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL
         && X509_time_adj_ex(X509_getm_notAfter(x), V2_CERT_DAYS, 0, NULL)
            != NULL
         && X509_set_pubkey(x, key) == 1
         && v2_cert_make_name(x, name) == V2_OK
         && X509_sign(x, key, EVP_sha256()) != 0 ? V2_OK : V2_ERROR;

    if (rc != V2_OK) {
        X509_free(x);
        return NULL;
    }

    return x;
}


/* Subject, issuer and alternative name. A name too long for a subject stands
 * in the alternative name alone, which is what clients look at. */

static v2_int_t
v2_cert_make_name(X509 *x, const char *name)
{
    v2_int_t        rc;
    X509_NAME      *subject;
    GENERAL_NAME   *san;
    GENERAL_NAMES  *sans;

    subject = X509_get_subject_name(x);

    if (strlen(name) <= ub_common_name
        && X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *) name, -1, -1, 0)
           != 1)
    {
        return V2_ERROR;
    }

    san = v2_cert_make_san(name);
    sans = GENERAL_NAMES_new();

    if (san == NULL || sans == NULL || sk_GENERAL_NAME_push(sans, san) == 0) {
        GENERAL_NAME_free(san);
        rc = V2_ERROR;

    } else {
        rc = X509_add1_ext_i2d(x, NID_subject_alt_name, sans, 0, 0) == 1
             && X509_set_issuer_name(x, subject) == 1 ? V2_OK : V2_ERROR;
    }

    GENERAL_NAMES_free(sans);

    return rc;
}


static GENERAL_NAME *
v2_cert_make_san(const char *name)
{
    GENERAL_NAME       *san;
    ASN1_STRING        *text;
    ASN1_OCTET_STRING  *ip;

    san = GENERAL_NAME_new();
    if (san == NULL) {
        return NULL;
    }

    ip = a2i_IPADDRESS(name);
    if (ip != NULL) {
        GENERAL_NAME_set0_value(san, GEN_IPADD, ip);
        return san;
    }

    ERR_clear_error();
    text = ASN1_IA5STRING_new();

    if (text == NULL || ASN1_STRING_set(text, name, -1) != 1) {
        ASN1_STRING_free(text);
        GENERAL_NAME_free(san);
        return NULL;
    }

    GENERAL_NAME_set0_value(san, GEN_DNS, text);

    return san;
}


/* The certificate or the key as text on the heap, or NULL. */

static char *
v2_cert_pem(X509 *x, EVP_PKEY *key)
{
    int     rc;
    BIO    *bio;
    char   *data, *text;
    long    len;

    bio = BIO_new(BIO_s_mem());
    if (bio == NULL) {
        return NULL;
    }

    rc = x != NULL ? PEM_write_bio_X509(bio, x)
                   : PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL,
                                              NULL);
    text = NULL;

    if (rc == 1) {
        len = BIO_get_mem_data(bio, &data);
        text = malloc((size_t) len + 1);

        if (text != NULL) {
            memcpy(text, data, (size_t) len);
            text[len] = '\0';
        }
    }

    BIO_free(bio);

    return text;
}
