/* The growing flat block that images are made of, and the hash of checksums
 * and tables. Called by the builder, and the hash by every process.
 *
 * Invariants
 *  1. Every ref starts at an 8-byte boundary; the bytes between are zero.
 *  2. Once `failed` is set nothing is appended any more, so that a builder
 *     checks it once at the end.
 *  3. The block never passes V2_FLAT_MAX: offsets fit 32 bits. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_flat.h"

#define V2_FLAT_MAX         (1u << 30)
#define V2_FLAT_FIRST       4096u

#define V2_HASH_A           UINT64_C(0xa0761d6478bd642f)
#define V2_HASH_B           UINT64_C(0xe7037ed1a0b428db)
#define V2_HASH_C           UINT64_C(0x8ebc6af09c88c6e3)

static v2_int_t v2_flat_grow(v2_flat_t *f, size_t need);
static inline uint64_t v2_hash_mix(uint64_t a, uint64_t b);
static inline uint64_t v2_hash_load(const uint8_t *p, size_t n);


void
v2_flat_init(v2_flat_t *f)
{
    memset(f, 0, sizeof(*f));
}


void
v2_flat_done(v2_flat_t *f)
{
    free(f->data);
    v2_flat_init(f);
}


v2_ref_t
v2_flat_add(v2_flat_t *f, const void *data, size_t len)
{
    size_t    off;
    v2_ref_t  none = { 0, 0 }, r;

    off = ((size_t) f->len + 7) & ~(size_t) 7;

    if (f->failed || len > V2_FLAT_MAX || off + len > V2_FLAT_MAX
        || v2_flat_grow(f, off + len) != V2_OK)
    {
        f->failed = 1;
        return none;
    }

    memset(f->data + f->len, 0, off - f->len);

    if (data == NULL) {
        memset(f->data + off, 0, len);

    } else if (len != 0) {
        memcpy(f->data + off, data, len);
    }

    f->len = (uint32_t) (off + len);

    r.off = (uint32_t) off;
    r.len = (uint32_t) len;

    return r;
}


v2_ref_t
v2_flat_str(v2_flat_t *f, const char *s)
{
    return v2_flat_add(f, s, strlen(s) + 1);
}


void *
v2_flat_at(v2_flat_t *f, v2_ref_t r)
{
    v2_assert((size_t) r.off + r.len <= f->len);

    return f->data + r.off;
}


/* Multiply and fold, 16 bytes a step. Builds of one host only compare their
 * own results, so the byte order of the machine may show. */

uint64_t
v2_hash64(const void *data, size_t len, uint64_t seed)
{
    size_t          n;
    uint64_t        h, a, b;
    const uint8_t  *p = data;

    h = v2_hash_mix(seed ^ V2_HASH_A, V2_HASH_B);

    for (n = len; n > 16; n -= 16) {
        h = v2_hash_mix(v2_hash_load(p, 8) ^ V2_HASH_B,
                        v2_hash_load(p + 8, 8) ^ h);
        p += 16;
    }

    a = v2_hash_load(p, v2_min(n, 8));
    b = n > 8 ? v2_hash_load(p + 8, n - 8) : 0;

    h = v2_hash_mix(a ^ V2_HASH_C, b ^ h);

    return v2_hash_mix(h ^ (uint64_t) len, V2_HASH_B);
}


static v2_int_t
v2_flat_grow(v2_flat_t *f, size_t need)
{
    size_t    cap;
    uint8_t  *p;

    if (need <= f->cap) {
        return V2_OK;
    }

    cap = v2_max((size_t) f->cap, V2_FLAT_FIRST);

    while (cap < need) {
        cap *= 2;
    }

    p = realloc(f->data, cap);
    if (p == NULL) {
        return V2_ERROR;
    }

    f->data = p;
    f->cap = (uint32_t) cap;

    return V2_OK;
}


static inline uint64_t
v2_hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128  m = (unsigned __int128) a * b;

    return (uint64_t) m ^ (uint64_t) (m >> 64);
}


static inline uint64_t
v2_hash_load(const uint8_t *p, size_t n)
{
    uint64_t  v = 0;

    if (n == 8) {
        memcpy(&v, p, 8);
        return v;
    }

    while (n-- != 0) {
        v = v << 8 | p[n];
    }

    return v;
}
