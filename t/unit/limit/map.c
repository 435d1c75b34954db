/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c */

#include "v2_users_map.c"

#include "tap.h"

#define N  5000


static uint32_t  hash[N];
static int       there[N];


static int
has(v2_map_t *m, uint32_t n)
{
    uint32_t  at, x;

    for (x = v2_map_first(m, hash[n], &at);
         x != V2_NONE;
         x = v2_map_next(m, hash[n], &at))
    {
        if (x == n) {
            return 1;
        }
    }

    return 0;
}


/* Hashes of a few values only, so that runs are long and go round the end. */
static void
test_random(uint32_t spread, uint32_t shift)
{
    int       bad = 0;
    uint32_t  i, k, n, used = 0;
    v2_map_t  m;

    is_int(v2_map_init(&m), V2_OK, "a map");
    memset(there, 0, sizeof(there));

    for (i = 0; i < N; i++) {
        hash[i] = (i * 2654435761u) % spread + shift;
    }

    for (k = 0; k < 20000; k++) {
        n = (uint32_t) (random() % (k < 10000 ? N : 300));

        if (there[n]) {
            v2_map_del(&m, hash[n], n);
            used--;

        } else {
            v2_map_add(&m, hash[n], n);
            used++;
        }

        there[n] = !there[n];

        if (k % 500 == 0) {
            for (i = 0; i < N; i++) {
                bad += has(&m, i) != there[i];
            }
        }
    }

    is_int(bad, 0, "what was put is there, nothing else");
    is_int(m.used, used, "and counted");
    ok(m.mask >= used, "with room: %u of %u", used, m.mask + 1);
    v2_map_done(&m);
}


int
main(void)
{
    srandom(7);

    test_random(UINT32_MAX, 0);
    test_random(1000, 0);
    test_random(200, UINT32_MAX - 100);

    return done_testing();
}
