/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/core/v2_addr.c src/core/v2_shm.c
 * needs: src/limit/v2_users.c src/limit/v2_users_rec.c
 * needs: src/limit/v2_users_map.c src/limit/v2_users_index.c
 * needs: src/limit/v2_meter.c src/limit/v2_recent.c src/limit/v2_bill.c */
/* libs: -luuid */

#include "world.h"

#define NODE    2
#define USERS   40


static v2_users_stat_t  st;
static uint64_t         counted[USERS], booked[USERS];
static uint32_t         rows[USERS];


static unsigned
rnd(unsigned n)
{
    static uint64_t  x = 88172645463325252ull;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;

    return (unsigned) (x >> 20) % n;
}


static void
list(uint32_t node, unsigned from, unsigned to)
{
    unsigned  i;

    v2_users_begin(us, node, PANEL);
    for (i = from; i < to; i++) {
        put(i, 1);
    }
    v2_users_commit(us, &st);
}


static void
on_line(void *owner, const v2_bill_line_t *l)
{
    uint64_t  *sum = owner;

    if (l->user < USERS) {
        sum[l->user] += l->up + l->down;
    }
}


static void
on_count(void *owner, const v2_bill_line_t *l)
{
    (void) l;
    ++*(unsigned *) owner;
}


static uint64_t
sum(const uint64_t *v)
{
    unsigned  i;
    uint64_t  n = 0;

    for (i = 0; i < USERS; i++) {
        n += v[i];
    }

    return n;
}


static void
pay(unsigned i, unsigned way, uint64_t n)
{
    v2_meter.count(shm, 0, rows[i], way, n);
    counted[i] += n;
}


static void
test_steps(void)
{
    char      id[40];
    unsigned  n = 0;
    uint64_t  got[USERS] = { 0 };

    is_int(v2_bill_prepare(shm, NODE, 0, 1), 0, "nothing owed, no batch");
    is_int(v2_bill_state(shm, NODE), V2_REPORT_NONE, "and no state");

    pay(1, 0, 100);
    pay(1, 1, 50);
    pay(2, 1, 1000);
    is_int(v2_bill_owed(shm, NODE), 1150, "owed");
    is_int(v2_bill_owed(shm, NODE + 1), 0, "by this node only");
    is_int(v2_bill_prepare(shm, NODE, 150, 0), 1,
           "only who owes more than the least amount");
    is_int(v2_bill_state(shm, NODE), V2_REPORT_PREPARED, "prepared");
    snprintf(id, sizeof(id), "%s", v2_bill_batch(shm, NODE));
    is_int(strlen(id), 36, "the batch has an id: %s", id);

    pay(2, 1, 5);
    v2_bill_lines(shm, NODE, on_line, got);
    ok(got[2] == 1000 && got[1] == 0, "what is counted later is not in it");

    v2_bill_sending(shm, NODE);
    is_int(v2_bill_state(shm, NODE), V2_REPORT_SENDING, "sending");
    v2_bill_release(shm, NODE);
    is_int(v2_bill_state(shm, NODE), V2_REPORT_NONE, "refused");
    is_int(v2_bill_owed(shm, NODE), 1155, "all is owed again");
    v2_bill_lines(shm, NODE, on_count, &n);
    is_int(n, 0, "no batch, no lines");

    is_int(v2_bill_prepare(shm, NODE, 150, 1), 2, "at the end, all");
    ok(strcmp(id, v2_bill_batch(shm, NODE)) != 0, "under another id");
    memset(got, 0, sizeof(got));
    v2_bill_lines(shm, NODE, on_line, got);
    ok(got[1] == 150 && got[2] == 1005, "with all amounts");
    v2_bill_sending(shm, NODE);
    v2_bill_settle(shm, NODE);
    is_int(v2_bill_owed(shm, NODE), 0, "booked: nothing is owed");
    is_int(v2_bill_prepare(shm, NODE, 0, 1), 0, "nothing twice");
    booked[1] = 150;
    booked[2] = 1005;
}


/* A removed user's small amount goes out although it is below the least. */
static void
test_removed(void)
{
    uint64_t  got[USERS] = { 0 };

    pay(39, 0, 3);
    is_int(v2_bill_prepare(shm, NODE, 1024, 0), 0, "too little to report");
    list(NODE, 0, 39);
    is_int(v2_bill_prepare(shm, NODE, 1024, 0), 1, "but the user goes");
    v2_bill_lines(shm, NODE, on_line, got);
    is_int(got[39], 3, "with what he owes");
    v2_bill_sending(shm, NODE);
    pay(39, 1, 4);
    v2_bill_settle(shm, NODE);
    v2_meter.leave(shm, 0, rows[39]);
    world_turn();
    world_turn();
    is_int(v2_bill_owed(shm, NODE), 4, "and what his last flow moved");
    is_int(v2_bill_prepare(shm, NODE, 1024, 0), 1, "goes with the next");
    v2_bill_settle(shm, NODE);
    world_turn();
    booked[39] = 7;
    list(NODE, 0, USERS);
}


/* Random counting, and a panel process that dies in each state: PREPARED is
 * owed again, SENDING is settled once, whatever else happened. */
static void
test_random(void)
{
    unsigned    i, k, bad = 0;
    found_t     f;
    uint64_t    owed = 0;

    for (i = 0; i < USERS; i++) {
        f = find(NODE, i, 1);
        rows[i] = admit(0, &f, 1, 0);
    }

    for (k = 0; k < 3000; k++) {

        for (i = rnd(6); i != 0; i--) {
            pay(rnd(USERS), rnd(2), rnd(5000));
        }

        switch (rnd(8)) {

        case 0:
            if (v2_bill_state(shm, NODE) == V2_REPORT_NONE) {
                v2_bill_prepare(shm, NODE, rnd(3000), rnd(2) != 0);
            }
            break;

        case 1:
            if (v2_bill_state(shm, NODE) == V2_REPORT_PREPARED) {
                v2_bill_sending(shm, NODE);
            }
            break;

        case 2:
            if (v2_bill_state(shm, NODE) == V2_REPORT_SENDING) {
                v2_bill_lines(shm, NODE, on_line, booked);
                v2_bill_settle(shm, NODE);
            }
            break;

        case 3:
            v2_bill_release(shm, NODE);
            break;

        case 4:
            world_restart();

            if (v2_bill_state(shm, NODE) == V2_REPORT_PREPARED) {
                v2_bill_release(shm, NODE);
            }

            if (v2_bill_state(shm, NODE) == V2_REPORT_SENDING) {
                v2_bill_lines(shm, NODE, on_line, booked);
                v2_bill_settle(shm, NODE);
            }
            break;
        }

        owed = v2_bill_owed(shm, NODE);
        bad += sum(booked) + owed != sum(counted);
    }

    is_int(bad, 0, "booked and owed are what was counted, at each step");

    if (v2_bill_state(shm, NODE) != V2_REPORT_NONE) {
        v2_bill_release(shm, NODE);
    }

    v2_bill_prepare(shm, NODE, 0, 1);
    v2_bill_lines(shm, NODE, on_line, booked);
    v2_bill_settle(shm, NODE);

    for (bad = 0, i = 0; i < USERS; i++) {
        bad += booked[i] != counted[i];
    }

    is_int(bad, 0, "in the end for each user");
}


/* A settling that was broken off is done again from the start. */
static void
test_half(void)
{
    found_t        f;
    v2_account_t  *a;

    pay(5, 0, 10);
    pay(6, 0, 20);
    v2_bill_prepare(shm, NODE, 0, 1);
    v2_bill_sending(shm, NODE);
    f = find(NODE, 5, 1);
    a = v2_shm_account(shm, f.account);
    atomic_store(&a->settled[0], a->mark[0]);
    world_restart();
    v2_bill_settle(shm, NODE);
    is_int(v2_bill_owed(shm, NODE), 0, "settled once, and settled");

    pay(5, 0, 10);
    atomic_store(&a->mark[0], a->up);
    world_restart();
    is_int(v2_bill_prepare(shm, NODE, 100, 0), 0,
           "marks of a batch that never was");
    is_int(a->mark[0], a->settled[0], "mean nothing");
    is_int(v2_bill_owed(shm, NODE), 10, "and settle nothing");
}


typedef struct {
    unsigned    n, users;
    uint64_t    traffic;
    uint8_t     last[300];
} alive_t;


static void
on_alive(void *owner, uint64_t user, const v2_addr_t *addr, uint64_t traffic)
{
    alive_t  *x = owner;

    x->n++;
    x->users |= 1u << user;
    x->traffic += traffic;
    x->last[addr->ip[3]]++;
}


static void
test_alive(void)
{
    alive_t   x;
    found_t   f, g;
    uint32_t  i, since, a, b, c, d;

    for (i = 0; i < USERS; i++) {
        v2_meter.leave(shm, 0, rows[i]);
    }

    v2_time_set(5000000);
    since = v2_now_s();
    memset(&x, 0, sizeof(x));
    v2_bill_alive(shm, NODE, since, on_alive, &x);
    is_int(x.n, 0, "nobody is online");

    f = find(NODE, 1, 1);
    g = find(NODE, 2, 1);
    a = admit(0, &f, 10, 0);
    b = admit(0, &f, 10, 1);
    c = admit(0, &f, 11, 0);
    d = admit(0, &g, 10, 0);
    v2_bill_alive(shm, NODE, since, on_alive, &x);
    is_int(x.n, 3, "addresses of users, each once");
    is_int(x.users, 6, "of both users");
    ok(x.last[10] == 2 && x.last[11] == 1, "the right ones");
    memset(&x, 0, sizeof(x));
    v2_bill_alive(shm, NODE + 1, since, on_alive, &x);
    is_int(x.n, 0, "not on the other node");

    v2_meter.count(shm, 0, d, 0, 123);
    v2_meter.leave(shm, 0, a);
    v2_meter.leave(shm, 0, b);
    v2_meter.leave(shm, 0, c);
    v2_meter.leave(shm, 0, d);
    memset(&x, 0, sizeof(x));
    v2_bill_alive(shm, NODE, since, on_alive, &x);
    ok(x.n == 1 && x.users == 4, "closed flows count if they moved something");
    is_int(x.traffic, 123, "the traffic is told");

    v2_time_set(5060000);
    memset(&x, 0, sizeof(x));
    v2_bill_alive(shm, NODE, v2_now_s(), on_alive, &x);
    is_int(x.n, 0, "and only in their period");

    a = admit(0, &f, 10, 0);
    list(NODE, 5, USERS);
    memset(&x, 0, sizeof(x));
    v2_bill_alive(shm, NODE, v2_now_s(), on_alive, &x);
    is_int(x.n, 1, "a removed user is online until his flow ends");
    v2_meter.leave(shm, 0, a);

    v2_shm_proc_clear(shm, (uint32_t) getpid());
    memset(&x, 0, sizeof(x));
    v2_bill_alive(shm, NODE, 0, on_alive, &x);
    is_int(x.n, 0, "a dead worker's rows are not read");
}


int
main(void)
{
    unsigned  i;
    found_t   f;

    world_open();
    world_worker(0);

    v2_users_node(us, NODE, 9, 9);
    v2_users_node(us, NODE + 1, 10, 10);
    list(NODE, 0, USERS);
    list(NODE + 1, 0, USERS);

    for (i = 0; i < USERS; i++) {
        f = find(NODE, i, 1);
        rows[i] = admit(0, &f, 1, 0);
    }

    test_steps();
    test_removed();

    for (i = 0; i < USERS - 1; i++) {
        v2_meter.leave(shm, 0, rows[i]);
    }

    test_random();
    test_half();
    test_alive();

    world_close();

    return done_testing();
}
