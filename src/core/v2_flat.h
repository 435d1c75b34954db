/* A growing flat block of bytes with references by offset: what images are
 * made of. Written by the builder, then read-only everywhere. */

#ifndef V2_FLAT_H
#define V2_FLAT_H

typedef struct {
    uint32_t    off, len;               /* from the start of the image */
} v2_ref_t;

struct v2_flat_s {
    uint8_t    *data;
    uint32_t    len, cap;
    unsigned    failed:1;               /* out of memory or over 1 GiB */
};

void       v2_flat_init(v2_flat_t *f);
void       v2_flat_done(v2_flat_t *f);
/* Appends len bytes at an 8-byte boundary (data NULL: zeroes). On failure sets
 * `failed` and returns an empty ref; callers check once at the end. */
v2_ref_t   v2_flat_add(v2_flat_t *f, const void *data, size_t len);
v2_ref_t   v2_flat_str(v2_flat_t *f, const char *s);    /* with its zero */
/* Writable place of a ref while building; invalid after the next add. */
void      *v2_flat_at(v2_flat_t *f, v2_ref_t r);

/* 64-bit hash for checksums, tables and comparisons of equal builds; not
 * against an adversary. */
uint64_t   v2_hash64(const void *data, size_t len, uint64_t seed);

#endif
