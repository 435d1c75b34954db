/* AEAD and HMAC on libcrypto. Runs in workers; no I/O, no link, no layer.
 *
 * Contexts stand in rows, one row for each cipher and way. A key finds its
 * context by its slot number and proves it by the owner field; without one it
 * takes a slot by second chance: a hand goes round the row, a slot used since
 * the last round is spared once. Setting up a context again costs a fraction
 * of a microsecond, less than a tenth of sealing one full record.
 *
 * Invariants
 *  1. slot->owner is NULL or points to a living key; v2_aead_done clears it.
 *  2. A context without owner holds no key of a connection: it is set to
 *     zeroes when its owner ends. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_crypt.h"
#include "v2_log.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <sys/random.h>
#include <unistd.h>

#define V2_CRYPT_SLOTS      64
#define V2_CRYPT_BLOCK      128         /* the larger of the HMAC blocks */
#define V2_CRYPT_RANDOM     256         /* getrandom() gives so much whole */


typedef struct {
    EVP_CIPHER_CTX   *ctx;
    v2_aead_t        *owner;
    unsigned          used:1;           /* since the hand last passed */
} v2_crypt_slot_t;

typedef struct {
    v2_crypt_slot_t   slots[V2_CRYPT_SLOTS];
    unsigned          hand;
} v2_crypt_row_t;

typedef struct {
    const char       *name;
    unsigned          key_len;
    EVP_CIPHER       *cipher;           /* fetched on first use */
    v2_crypt_row_t    rows[2];          /* 0 opens, 1 seals */
} v2_crypt_cipher_t;

typedef struct {
    const char       *name;
    unsigned          len, block;
    EVP_MD           *md;               /* fetched on first use */
} v2_crypt_hash_t;


static v2_crypt_slot_t *v2_crypt_slot(v2_aead_t *a);
static v2_crypt_slot_t *v2_crypt_slot_take(v2_aead_t *a);
static v2_int_t v2_crypt_slot_key(v2_crypt_slot_t *slot, unsigned kind,
    int seal, const uint8_t *key);
static EVP_CIPHER *v2_crypt_cipher_get(unsigned kind);
static v2_int_t v2_crypt_hash_pass(v2_crypt_hash_t *h, const uint8_t *key,
    size_t key_len, uint8_t pad, const uint8_t *data, size_t len,
    uint8_t *out);


static v2_crypt_cipher_t  ciphers[V2_AEAD_KINDS] = {
    [V2_AEAD_AES_128_GCM] = { .name = "AES-128-GCM", .key_len = 16 },
    [V2_AEAD_AES_256_GCM] = { .name = "AES-256-GCM", .key_len = 32 },
    [V2_AEAD_CHACHA20]    = { .name = "ChaCha20-Poly1305", .key_len = 32 },
};

static v2_crypt_hash_t    hashes[V2_HASH_KINDS] = {
    [V2_HASH_SHA256] = { .name = "SHA2-256", .len = 32, .block = 64 },
    [V2_HASH_SHA384] = { .name = "SHA2-384", .len = 48, .block = 128 },
};

static EVP_CIPHER_CTX    *current;      /* of the unit being worked on */
static EVP_MD_CTX        *digest;


unsigned
v2_aead_key_len(unsigned kind)
{
    v2_assert(kind < V2_AEAD_KINDS);

    return ciphers[kind].key_len;
}


void
v2_aead_init(v2_aead_t *a, unsigned kind, int seal, const uint8_t *key)
{
    v2_assert(kind < V2_AEAD_KINDS);

    v2_aead_done(a);

    a->kind = (uint8_t) kind;
    a->seal = seal ? 1 : 0;
    a->slot = 0;
    memcpy(a->key, key, v2_aead_key_len(kind));
}


v2_int_t
v2_aead_start(v2_aead_t *a, const uint8_t *nonce, const uint8_t *aad,
    size_t aad_len)
{
    int               n;
    v2_crypt_slot_t  *slot;

    slot = v2_crypt_slot(a);
    if (slot == NULL) {
        return V2_ERROR;
    }

    current = slot->ctx;

    if (EVP_CipherInit_ex(current, NULL, NULL, NULL, nonce, -1) != 1
        || EVP_CipherUpdate(current, NULL, &n, aad, (int) aad_len) != 1)
    {
        return V2_ERROR;
    }

    return V2_OK;
}


v2_int_t
v2_aead_run(v2_aead_t *a, const uint8_t *in, uint8_t *out, size_t len)
{
    int  n;

    v2_assert(ciphers[a->kind].rows[a->seal].slots[a->slot].ctx == current);

    if (EVP_CipherUpdate(current, out, &n, in, (int) len) != 1
        || (size_t) n != len)
    {
        return V2_ERROR;
    }

    return V2_OK;
}


v2_int_t
v2_aead_finish(v2_aead_t *a, uint8_t *tag)
{
    int      n;
    uint8_t  none[16];

    if (a->seal) {
        if (EVP_CipherFinal_ex(current, none, &n) != 1
            || EVP_CIPHER_CTX_ctrl(current, EVP_CTRL_AEAD_GET_TAG,
                                   V2_AEAD_TAG, tag) != 1)
        {
            return V2_ERROR;
        }

        return V2_OK;
    }

    if (EVP_CIPHER_CTX_ctrl(current, EVP_CTRL_AEAD_SET_TAG, V2_AEAD_TAG, tag)
        != 1
        || EVP_CipherFinal_ex(current, none, &n) != 1)
    {
        return V2_ERROR;
    }

    return V2_OK;
}


void
v2_aead_done(v2_aead_t *a)
{
    v2_crypt_slot_t       *slot;
    static const uint8_t   zero[32];

    slot = &ciphers[a->kind].rows[a->seal].slots[a->slot];

    if (slot->owner == a) {
        slot->owner = NULL;
        slot->used = 0;
        (void) v2_crypt_slot_key(slot, a->kind, a->seal, zero);
    }

    v2_wipe(a, sizeof(v2_aead_t));
}


unsigned
v2_hash_len(unsigned hash)
{
    v2_assert(hash < V2_HASH_KINDS);

    return hashes[hash].len;
}


v2_int_t
v2_hmac(unsigned hash, const uint8_t *key, size_t key_len,
    const uint8_t *data, size_t len, uint8_t *out)
{
    uint8_t           inner[V2_HASH_MAX];
    v2_crypt_hash_t  *h;

    v2_assert(hash < V2_HASH_KINDS);

    h = &hashes[hash];

    /* a longer key would have to be hashed first; no caller has one */
    if (key_len > h->block) {
        return V2_ERROR;
    }

    if (h->md == NULL) {
        h->md = EVP_MD_fetch(NULL, h->name, NULL);
    }

    if (digest == NULL) {
        digest = EVP_MD_CTX_new();
    }

    if (h->md == NULL || digest == NULL) {
        v2_log(V2_LOG_ALERT, NULL, 0, "libcrypto offers no %s", h->name);
        return V2_ERROR;
    }

    if (v2_crypt_hash_pass(h, key, key_len, 0x36, data, len, inner) != V2_OK
        || v2_crypt_hash_pass(h, key, key_len, 0x5c, inner, h->len, out)
           != V2_OK)
    {
        return V2_ERROR;
    }

    v2_wipe(inner, sizeof(inner));

    return V2_OK;
}


void
v2_wipe(void *p, size_t len)
{
    OPENSSL_cleanse(p, len);
}


static v2_crypt_slot_t *
v2_crypt_slot(v2_aead_t *a)
{
    v2_crypt_slot_t  *slot;

    v2_assert(a->kind < V2_AEAD_KINDS && a->slot < V2_CRYPT_SLOTS);

    slot = &ciphers[a->kind].rows[a->seal].slots[a->slot];

    if (slot->owner != a) {
        slot = v2_crypt_slot_take(a);
    }

    if (slot != NULL) {
        slot->used = 1;
    }

    return slot;
}


static v2_crypt_slot_t *
v2_crypt_slot_take(v2_aead_t *a)
{
    v2_crypt_row_t   *row;
    v2_crypt_slot_t  *slot;

    row = &ciphers[a->kind].rows[a->seal];

    for ( ;; ) {
        a->slot = (uint16_t) row->hand;
        slot = &row->slots[row->hand];
        row->hand = (row->hand + 1) % V2_CRYPT_SLOTS;

        if (slot->owner == NULL || !slot->used) {
            break;
        }

        slot->used = 0;
    }

    slot->owner = NULL;

    if (v2_crypt_slot_key(slot, a->kind, a->seal, a->key) != V2_OK) {
        return NULL;
    }

    slot->owner = a;

    return slot;
}


static v2_int_t
v2_crypt_slot_key(v2_crypt_slot_t *slot, unsigned kind, int seal,
    const uint8_t *key)
{
    EVP_CIPHER  *fresh;

    fresh = NULL;

    if (slot->ctx == NULL) {
        fresh = v2_crypt_cipher_get(kind);
        slot->ctx = fresh != NULL ? EVP_CIPHER_CTX_new() : NULL;
        if (slot->ctx == NULL) {
            return V2_ERROR;
        }
    }

    if (EVP_CipherInit_ex(slot->ctx, fresh, NULL, key, NULL, seal) != 1) {
        EVP_CIPHER_CTX_free(slot->ctx);
        slot->ctx = NULL;
        return V2_ERROR;
    }

    return V2_OK;
}


static EVP_CIPHER *
v2_crypt_cipher_get(unsigned kind)
{
    v2_crypt_cipher_t  *c;

    c = &ciphers[kind];

    if (c->cipher == NULL) {
        c->cipher = EVP_CIPHER_fetch(NULL, c->name, NULL);
        if (c->cipher == NULL) {
            v2_log(V2_LOG_ALERT, NULL, 0, "libcrypto offers no %s", c->name);
        }
    }

    return c->cipher;
}


/* H((key xor pad) || data), RFC 2104. */

static v2_int_t
v2_crypt_hash_pass(v2_crypt_hash_t *h, const uint8_t *key, size_t key_len,
    uint8_t pad, const uint8_t *data, size_t len, uint8_t *out)
{
    size_t    i;
    uint8_t   block[V2_CRYPT_BLOCK];
    v2_int_t  rc;

    memset(block, pad, sizeof(block));

    for (i = 0; i < key_len; i++) {
        block[i] ^= key[i];
    }

    rc = V2_OK;

    if (EVP_DigestInit_ex(digest, h->md, NULL) != 1
        || EVP_DigestUpdate(digest, block, h->block) != 1
        || EVP_DigestUpdate(digest, data, len) != 1
        || EVP_DigestFinal_ex(digest, out, NULL) != 1)
    {
        rc = V2_ERROR;
    }

    v2_wipe(block, sizeof(block));

    return rc;
}


v2_int_t
v2_sha1(const void *data, size_t len, uint8_t out[20])
{
    return EVP_Digest(data, len, out, NULL, EVP_sha1(), NULL) == 1
           ? V2_OK : V2_ERROR;
}


/* A child of fork() must not go on with the bytes of its parent. */

void
v2_random(void *out, size_t len)
{
    size_t    n;
    uint8_t  *p;

    static uint8_t  pool[V2_CRYPT_RANDOM];
    static size_t   left;
    static pid_t    owner;

    if (owner != getpid()) {
        owner = getpid();
        left = 0;
    }

    for (p = out; len != 0; p += n, len -= n) {

        if (left == 0) {
            if (getrandom(pool, sizeof(pool), 0) != (ssize_t) sizeof(pool)) {
                v2_log(V2_LOG_EMERG, NULL, errno, "getrandom() failed");
                abort();
            }

            left = sizeof(pool);
        }

        n = v2_min(len, left);
        left -= n;
        memcpy(p, pool + left, n);
        v2_wipe(pool + left, n);
    }
}
