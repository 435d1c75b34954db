/* AEAD and HMAC on libcrypto, for what seals records one after the other.
 *
 * A v2_aead_t is one key for one way, a few bytes: the EVP contexts (about a
 * kilobyte each) belong to the process. A key that is used borrows one and
 * stays its owner until another key needs it; then it is set up again. So an
 * idle connection keeps its keys and nothing else.
 *
 * Invariants
 *  1. Algorithms are fetched once per process, contexts made on first use.
 *  2. start, run and finish of one unit are not interleaved with another's.
 *  3. Input and output may be the same memory, or must not overlap. */

#ifndef V2_CRYPT_H
#define V2_CRYPT_H

#define V2_AEAD_TAG         16
#define V2_AEAD_NONCE       12
#define V2_HASH_MAX         48

enum {
    V2_AEAD_AES_128_GCM,
    V2_AEAD_AES_256_GCM,
    V2_AEAD_CHACHA20,
    V2_AEAD_KINDS
};

enum { V2_HASH_SHA256, V2_HASH_SHA384, V2_HASH_KINDS };

typedef struct {
    uint8_t     key[32];
    uint8_t     kind;                   /* V2_AEAD_... */
    uint8_t     seal;                   /* 1: encrypts */
    uint16_t    slot;                   /* its context, if still the owner */
} v2_aead_t;

unsigned  v2_aead_key_len(unsigned kind);

/* `key` holds v2_aead_key_len(kind) bytes. An initialised key must not move in
 * memory; v2_aead_done wipes it (also safe on a zeroed one). */
void      v2_aead_init(v2_aead_t *a, unsigned kind, int seal,
    const uint8_t *key);
void      v2_aead_done(v2_aead_t *a);

/* One unit. finish writes the tag of a sealed unit, and compares that of an
 * opened one: V2_ERROR means that it is forged. Otherwise V2_ERROR means that
 * libcrypto failed. */
v2_int_t  v2_aead_start(v2_aead_t *a, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len);
v2_int_t  v2_aead_run(v2_aead_t *a, const uint8_t *in, uint8_t *out,
    size_t len);
v2_int_t  v2_aead_finish(v2_aead_t *a, uint8_t *tag);

unsigned  v2_hash_len(unsigned hash);

/* `out` holds v2_hash_len(hash) bytes; it may be the key or the data. */
v2_int_t  v2_hmac(unsigned hash, const uint8_t *key, size_t key_len,
    const uint8_t *data, size_t len, uint8_t *out);

/* For ids that are defined by it (protocols.md 0.2), not for security. */
v2_int_t  v2_sha1(const void *data, size_t len, uint8_t out[20]);

/* Unpredictable bytes, in small amounts without a call into the system. */
void      v2_random(void *out, size_t len);

/* Cannot be optimised away. */
void      v2_wipe(void *p, size_t len);

#endif
