/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/core/v2_addr.c src/core/v2_shm.c
 * needs: src/limit/v2_users.c src/limit/v2_users_rec.c
 * needs: src/limit/v2_users_map.c src/limit/v2_users_index.c
 * needs: src/limit/v2_meter.c src/limit/v2_recent.c src/limit/v2_bill.c */
/* libs: -luuid */

#include "world.h"

#include "v2_recent.h"

#define MS  1000000ull


static v2_users_stat_t  st;
static v2_shm_rows_t   *rows;


static void
list(uint32_t node, uint64_t rate)
{
    v2_users_item_t  item;

    v2_users_begin(us, node, PANEL);
    item = item_of(1, 1);
    item.rate = rate;
    v2_users_put(us, &item);
    put(2, 1);
    v2_users_commit(us, &st);
}


static void
test_rows(void)
{
    found_t      f;
    uint32_t     a, b, c, i, n, *all;
    v2_addr_t    addr = ip(1, 1);
    const char  *why = NULL;

    f = find(0, 1, 1);
    a = admit(0, &f, 1, 0);
    b = admit(0, &f, 2, 1);
    ok(a != b, "two flows, two rows");
    is_int(rows->live_tcp[f.account], 1, "one of them TCP");
    is_int(rows->live_udp[f.account], 1, "the other UDP");
    ok((rows->flags[b] & V2_ROW_UDP) && !(rows->flags[a] & V2_ROW_UDP),
       "the rows say so");

    v2_meter.leave(shm, 0, a);
    is_int(rows->live_tcp[f.account], 0, "it closes");
    c = admit(0, &f, 3, 0);
    is_int(c, a, "its row is used again");
    is_int(rows->count, 2, "no third one");
    v2_meter.leave(shm, 0, b);
    v2_meter.leave(shm, 0, c);

    all = malloc(V2_SHM_ROWS * sizeof(*all));
    for (n = 0; n < V2_SHM_ROWS; n++) {
        if (v2_meter.admit(shm, 0, f.account, f.gen, &addr, 0, &all[n], &why)
            != V2_OK)
        {
            break;
        }
    }
    is_int(n, V2_SHM_ROWS, "so many flows fit");
    is_int(v2_meter.admit(shm, 0, f.account, f.gen, &addr, 0, &a, &why),
           V2_DECLINED, "not one more");
    ok(why != NULL && strstr(why, "too many") != NULL, "reason: %s", why);
    is_int(rows->live_tcp[f.account], n, "it is not counted");

    for (i = 0; i < n; i++) {
        v2_meter.leave(shm, 0, all[i]);
    }
    is_int(rows->live_tcp[f.account], 0, "all close");
    free(all);

    is_int(v2_meter.admit(shm, 0, V2_NONE, 0, &addr, 0, &a, &why),
           V2_DECLINED, "an account out of range is nobody's");
}


static void
test_count(void)
{
    found_t        f;
    uint32_t       row;
    v2_account_t  *a;

    f = find(0, 1, 1);
    a = v2_shm_account(shm, f.account);
    row = admit(0, &f, 1, 0);

    v2_meter.count(shm, 0, row, 0, 10);
    v2_meter.count(shm, 0, row, 1, 300);
    v2_meter.count(shm, 0, row, 1, 0);
    ok(a->up == 10 && a->down == 300, "both ways are counted");
    v2_time_set(1005000);
    v2_meter.count(shm, 0, row, 1, 1);
    is_int(a->active, v2_now_s(), "the second of the last byte is kept");
    is_int(rows->last[row], v2_now_s(), "also in the row");
    is_int(v2_meter.pause(shm, 0, row, 1), 0, "no rate, no pause");

    v2_meter.leave(shm, 0, row);
}


/* 1 MB/s: the burst is 100 ms of it, and every byte more is a microsecond. */
static void
test_rate(void)
{
    found_t   f;
    uint32_t  row, other;

    list(0, 1000000);
    f = find(0, 1, 1);
    row = admit(0, &f, 1, 0);
    other = admit(0, &f, 2, 0);

    v2_meter.count(shm, 0, row, 1, 100000);
    is_int(v2_meter.pause(shm, 0, row, 1), 0, "the burst is free");
    v2_meter.count(shm, 0, row, 1, 50000);
    is_int(v2_meter.pause(shm, 0, row, 1), 50 * MS, "what is beyond waits");
    is_int(v2_meter.pause(shm, 0, other, 1), 50 * MS,
           "the other flow of the user too");
    is_int(v2_meter.pause(shm, 0, row, 0), 0, "but not the other way");

    v2_time_set(1005000 + 20);
    is_int(v2_meter.pause(shm, 0, row, 1), 30 * MS, "time goes on");
    v2_time_set(1005000 + 50);
    is_int(v2_meter.pause(shm, 0, row, 1), 0, "until it may");

    v2_time_set(1009000);
    v2_meter.count(shm, 0, row, 1, 100001);
    is_int(v2_meter.pause(shm, 0, row, 1), 1000,
           "silence is not saved up beyond the burst");

    v2_meter.count(shm, 0, row, 1, 10000000);
    list(0, 2000000);
    is_int(v2_meter.pause(shm, 0, row, 1), 0, "a new rate acts at once");
    v2_meter.count(shm, 0, row, 1, 1200000);
    is_int(v2_meter.pause(shm, 0, row, 1), 500 * MS, "from its first byte");
    list(0, 0);
    is_int(v2_meter.pause(shm, 0, row, 1), 0, "so does none");

    list(0, 1);
    v2_meter.count(shm, 0, row, 1, 65536 + 5);
    is_int(v2_meter.pause(shm, 0, row, 1), 5000 * MS,
           "the smallest rate has 64 KiB of burst");
    list(0, UINT64_MAX);
    v2_meter.count(shm, 0, row, 1, UINT32_MAX);
    is_int(v2_meter.pause(shm, 0, row, 1), 0, "the biggest is no limit");

    v2_meter.leave(shm, 0, row);
    v2_meter.leave(shm, 0, other);
    list(0, 0);
}


typedef struct {
    uint32_t    n, last;
} seen_t;


static void
on_recent(void *owner, const v2_shm_recent_t *e)
{
    seen_t  *s = owner;

    s->n++;
    s->last = e->addr.ip[3];
}


static uint32_t
recent(uint32_t since)
{
    seen_t  s = { 0, 0 };

    v2_recent_each(rows, since, on_recent, &s);

    return s.n;
}


static void
flow(const found_t *f, unsigned last, uint64_t bytes)
{
    uint32_t  row;

    row = admit(0, f, last, 0);
    v2_meter.count(shm, 0, row, 0, bytes);
    v2_meter.leave(shm, 0, row);
}


static void
test_recent(void)
{
    found_t   f, g;
    uint32_t  i, since, n;

    v2_time_set(2000000);
    since = v2_now_s();
    is_int(recent(since), 0, "nobody was here of late");

    f = find(0, 1, 1);
    g = find(0, 2, 1);
    flow(&f, 1, 0);
    is_int(recent(since), 0, "a flow without a byte leaves no address");
    flow(&f, 1, 1);
    flow(&f, 1, 1);
    is_int(recent(since), 1, "one address, however many flows");
    flow(&f, 2, 1);
    flow(&g, 1, 1);
    flow(&f, 1, 1);
    is_int(recent(since), 3, "others, and another user's");

    v2_time_set(2010000);
    flow(&f, 2, 1);
    is_int(recent(v2_now_s()), 1, "only one of them is new");
    is_int(recent(since), 3, "all are in the ring");

    n = rows->recent_n;
    for (i = 0; i < 1000; i++) {
        v2_time_set(2020000 + (uint64_t) i * 100000);
        flow(i & 1 ? &f : &g, i % 250, 1);
    }
    ok(rows->recent_n < n + 200, "entries of long ago are used again: %u",
       rows->recent_n);

    for (i = 0; i < V2_SHM_RECENT + 1000; i++) {
        v2_shm_recent_t  e;

        memset(&e, 0, sizeof(e));
        e.account = i;
        e.last = v2_now_s();
        e.addr = ip(9, 1);
        v2_recent_add(rows, &e, v2_now_s());
    }
    is_int(rows->recent_n, V2_SHM_RECENT, "the ring is full");
    ok(recent(v2_now_s()) > V2_SHM_RECENT - 200, "with the newest");
}


/* A removed account that is used again counts nothing for the old row. */
static void
test_life(void)
{
    found_t        f;
    uint32_t       row;
    uint64_t       up;
    v2_account_t  *a;

    f = find(0, 1, 1);
    a = v2_shm_account(shm, f.account);
    row = admit(0, &f, 1, 0);
    up = a->up;
    atomic_store(&a->gen, v2_gen_next_life(a->gen));
    v2_log_set_level(0);
    v2_meter.count(shm, 0, row, 0, 1000);
    v2_log_set_level(V2_LOG_ERR);
    is_int(a->up, up, "bytes of another life are not this user's");
    is_int(v2_meter.stale(shm, 0, row), 1, "the flow must end");
    v2_meter.leave(shm, 0, row);
    atomic_store(&a->gen, f.gen);
}


int
main(void)
{
    world_open();
    world_worker(0);
    rows = v2_shm_rows(shm, 0);

    v2_users_node(us, 0, 1, 1);
    list(0, 0);

    test_rows();
    test_count();
    test_rate();
    test_recent();
    test_life();

    world_close();

    return done_testing();
}
