/* The resolver's cache by itself: its bound, who is evicted, and the rules by
 * which halves make an answer. */
/* needs: src/core/v2_timer.c src/core/v2_time.c src/core/v2_addr.c */
/* needs: src/core/v2_flat.c src/core/v2_log.c src/core/v2_core.c */

#include "../../../src/core/v2_names.c"

#include "v2_log.h"

#include "../tap.h"

static v2_names_t  names;
static unsigned    done_n;


static void
on_done(v2_resolve_req_t *q)
{
    (void) q;

    done_n++;
}


static void
on_wait(v2_timer_t *t)
{
    v2_names_ready(v2_containerof(t, v2_name_t, timer));
    v2_names_settle(&names);
}


static v2_name_t *
get(const char *fmt, unsigned i)
{
    char    text[64];
    size_t  len;

    len = (size_t) snprintf(text, sizeof(text), fmt, i);

    return v2_names_get(&names, text, len);
}


static void
fill(void)
{
    unsigned  i;

    for (i = 0; i < V2_NAMES_MAX; i++) {
        if (get("n%u.test", i) == NULL) {
            fail("no room for name %u", i);
        }
    }
}


static void
test_bound(void)
{
    unsigned    i;
    v2_name_t  *e;

    v2_names_init(&names, on_wait);
    fill();
    is_int(names.n, V2_NAMES_MAX, "the cache is full");

    e = get("n%u.test", 0);
    e->half[V2_HALF_A].n = 1;               /* now the youngest */
    ok(get("more%u.test", 0) != NULL, "one more name has room");
    is_int(names.n, V2_NAMES_MAX, "... in place of another");
    e = get("n%u.test", 0);
    is_int(e->half[V2_HALF_A].n, 1, "... not of one used lately");

    e = get("n%u.test", 2);
    e->half[V2_HALF_A].n = 1;
    v2_names_done(&names);
    is_int(names.n, 0, "all are freed");

    /* in use: asked for, waiting, ready, busy */

    v2_names_init(&names, on_wait);
    fill();

    for (i = 0; i < V2_NAMES_MAX; i++) {
        e = get("n%u.test", i);
        e->half[i & 1].state = i % 4 != 3 ? V2_HALF_ASKING : V2_HALF_GOOD;
        e->busy = i % 4 == 3;
    }

    ok(get("more%u.test", 0) == NULL, "names in use are not evicted");
    e = get("n%u.test", 5);
    ok(e != NULL && e->half[1].state == V2_HALF_ASKING,
       "... and still found");

    e = v2_queue_data(names.lru.next, v2_name_t, lru);
    e->half[0].state = V2_HALF_NONE;
    ok(get("more%u.test", 0) != NULL, "an idle one is");

    v2_names_done(&names);
}


static void
test_known(void)
{
    size_t      i;
    v2_name_t  *e;

    enum { E = V2_HALF_EMPTY, A = V2_HALF_ASKING, G = V2_HALF_GOOD,
           N = V2_HALF_NONE, F = V2_HALF_FAILED };

    /* halves; IPv6 goes out; time since the first; for ANY 4 6 46 */

    static const struct {
        uint8_t   a, aaaa, six;
        unsigned  ms;
        int       want[4];
    } rows[] = {
        { A, A, 0, 100, { 0, 0, 0, 0 } },
        { G, A, 0, 49, { 0, 1, 0, 1 } },
        { G, A, 0, 50, { 1, 1, 0, 1 } },
        { A, G, 0, 100, { 0, 0, 1, 0 } },
        { A, G, 1, 49, { 0, 0, 1, 0 } },
        { A, G, 1, 50, { 1, 0, 1, 0 } },
        { N, A, 0, 100, { 0, 1, 0, 0 } },
        { F, A, 1, 100, { 0, 1, 0, 0 } },
        { N, G, 0, 0, { 1, 1, 1, 1 } },
        { G, N, 0, 0, { 1, 1, 1, 1 } },
        { F, F, 0, 0, { 1, 1, 1, 1 } },
        { G, E, 0, 0, { 0, 1, 0, 1 } },
    };

    v2_names_init(&names, on_wait);
    e = get("n%u.test", 0);
    e->first_ms = 1000;

    for (i = 0; i < v2_nelems(rows); i++) {
        names.six = rows[i].six;
        e->half[V2_HALF_A].state = rows[i].a;
        e->half[V2_HALF_AAAA].state = rows[i].aaaa;
        v2_time_set(1000 + rows[i].ms);

        ok(v2_names_known(e, V2_FAMILY_ANY) == rows[i].want[0]
           && v2_names_known(e, V2_FAMILY_4) == rows[i].want[1]
           && v2_names_known(e, V2_FAMILY_6) == rows[i].want[2]
           && v2_names_known(e, V2_FAMILY_46) == rows[i].want[3],
           "who can be answered, row %zu", i);
    }

    v2_names_done(&names);
}


/* The timer gives up on the slower half; who left is not called. */
static void
test_wait(void)
{
    v2_name_t         *e;
    v2_resolve_req_t   q[3];

    memset(q, 0, sizeof(q));
    q[0].done = q[1].done = q[2].done = on_done;
    v2_names_init(&names, on_wait);
    v2_time_set(5000);

    e = get("n%u.test", 0);
    e->half[V2_HALF_A].state = V2_HALF_GOOD;
    e->half[V2_HALF_A].n = 1;
    e->half[V2_HALF_AAAA].state = V2_HALF_ASKING;
    e->ip4[0][0] = 9;
    e->first_ms = 5000;

    v2_names_wait(e, &q[0], V2_FAMILY_ANY);
    v2_names_wait(e, &q[1], V2_FAMILY_ANY);
    v2_names_wait(e, &q[2], V2_FAMILY_6);
    v2_names_leave(&q[1]);
    v2_names_leave(&q[1]);

    v2_names_ready(e);
    v2_names_ready(e);
    v2_names_settle(&names);
    is_int(done_n, 0, "nobody yet");
    ok(v2_timer_armed(&e->timer), "the timer runs");

    v2_time_set(5050);
    v2_timer_expire(5050);
    is_int(done_n, 1, "who takes either family has IPv4");
    is_int(q[0].n, 1, "... one address");
    ok(q[0].wait[2] == NULL && q[2].wait[2] == e, "the other one waits");

    v2_names_done(&names);
    is_int(done_n, 1, "the end calls nobody");
    v2_names_leave(&q[2]);
    v2_time_set(0);
}


int
main(void)
{
    v2_log_init(2, V2_LOG_WARN, -1);

    test_bound();
    test_known();
    test_wait();

    return done_testing();
}
