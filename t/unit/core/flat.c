/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c */

#include "v2_flat.c"

#include "tap.h"


static void
test_add(void)
{
    v2_ref_t   a, b, c, d;
    v2_flat_t  f;

    v2_flat_init(&f);

    a = v2_flat_add(&f, "abc", 3);
    b = v2_flat_add(&f, "0123456789", 10);
    c = v2_flat_add(&f, NULL, 5000);
    d = v2_flat_str(&f, "end");

    is_int(a.off, 0, "the first ref is at the start");
    is_int(b.off, 8, "the next at 8 bytes");
    is_int(c.off, 24, "and again");
    is_int(d.off % 8, 0, "also after a big one");
    is_int(d.len, 4, "a text counts its zero");
    is_int(f.len, d.off + 4, "nothing stands behind the last");

    is_mem(v2_flat_at(&f, a), "abc\0\0\0\0\0", 8, "zeroes between");
    is_mem(v2_flat_at(&f, b), "0123456789\0\0\0\0\0\0", 16, "and between");
    is_str(v2_flat_at(&f, d), "end", "the text is there after growing");
    ok(((uint8_t *) v2_flat_at(&f, c))[4999] == 0, "no data is zeroes");

    a = v2_flat_add(&f, NULL, 0);
    is_int(a.len, 0, "an empty ref");
    ok(!f.failed, "is no failure");

    v2_flat_done(&f);
    is_int(f.len, 0, "done forgets all");
}


static void
test_limit(void)
{
    v2_ref_t   r;
    v2_flat_t  f;

    v2_flat_init(&f);
    (void) v2_flat_add(&f, "x", 1);

    r = v2_flat_add(&f, NULL, 1u << 30);
    ok(f.failed, "more than 1 GiB fails");
    is_int(r.len, 0, "with an empty ref");

    r = v2_flat_add(&f, "y", 1);
    is_int(r.len, 0, "and then nothing is added any more");
    is_int(f.len, 1, "at all");
    v2_flat_done(&f);

    v2_flat_init(&f);
    (void) v2_flat_add(&f, NULL, SIZE_MAX);
    ok(f.failed, "a length that wraps fails");
    v2_flat_done(&f);
}


/* Every bit of the input and of the seed must move about half of the output,
 * whatever the length. */
static void
test_hash(void)
{
    int       low = 64, high = 0, n;
    size_t    len, bit;
    uint8_t   text[40], other[40];
    uint64_t  h;

    for (len = 0; len < sizeof(text); len++) {
        text[len] = (uint8_t) (len * 37 + 11);
    }

    for (len = 1; len <= sizeof(text); len++) {
        h = v2_hash64(text, len, 7);

        for (bit = 0; bit < len * 8; bit++) {
            memcpy(other, text, sizeof(text));
            other[bit / 8] ^= (uint8_t) (1u << (bit % 8));
            n = __builtin_popcountll(h ^ v2_hash64(other, len, 7));
            low = v2_min(low, n);
            high = v2_max(high, n);
        }
    }

    ok(low >= 10 && high <= 54, "bits moved: %d to %d of 64", low, high);

    memset(other, 0, sizeof(other));
    ok(v2_hash64(other, 7, 1) != v2_hash64(other, 8, 1),
       "zeroes of two lengths differ");
    ok(v2_hash64(other, 0, 1) != v2_hash64(other, 0, 2),
       "seeds differ, also for nothing");
    is_int(v2_hash64(text, 33, 5) == v2_hash64(text, 33, 5), 1,
           "the same is the same");
}


int
main(void)
{
    test_add();
    test_limit();
    test_hash();

    return done_testing();
}
