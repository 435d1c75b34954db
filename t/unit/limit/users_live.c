/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/core/v2_addr.c src/core/v2_shm.c
 * needs: src/limit/v2_users.c src/limit/v2_users_rec.c
 * needs: src/limit/v2_users_map.c src/limit/v2_users_index.c
 * needs: src/limit/v2_meter.c src/limit/v2_recent.c src/limit/v2_bill.c */
/* libs: -luuid */

/* The writer of users changes them at random while two workers look them up,
 * open flows and count; then the same with a writer that is killed at random
 * and started again. What must hold is checked after each step and death. */

#include "world.h"

#include "v2_users_rec.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define IDS       400
#define VERSIONS  3
#define NODES     2
#define WORKERS   2
#define FLOWS     64
#define LISTS     150
#define DEATHS    250


/* What a panel has booked. The other copy is filled and then switched to, so
 * that a batch is booked at one instruction. */
typedef struct {
    uint64_t    sum[IDS];
    char        batch[NODES][40];
} ledger_t;

typedef struct {
    v2_a64_t    counted[IDS];
    ledger_t    ledger[2];
    v2_a32_t    active;
    v2_a32_t    stop;
    v2_a32_t    wrong_user, wrong_life, wrong_grace;    /* seen by workers */
    v2_a64_t    found, opened, cut;
} lab_t;

typedef struct {
    uint32_t    row, account, gen, id;
} flow_t;

static lab_t   *lab;
static int      model[NODES][IDS];          /* version, -1: not a user */


static unsigned
rnd(unsigned n)
{
    static uint64_t  x;

    if (x == 0) {
        x = (uint64_t) getpid() * 0x9e3779b97f4a7c15ull;
    }

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;

    return (unsigned) (x >> 20) % n;
}


/* --- a worker --- */

static found_t
worker_find(uint32_t *id)
{
    found_t  f;

    *id = rnd(IDS);
    f = find(rnd(NODES), *id, rnd(VERSIONS));

    if (f.rc == V2_OK) {
        atomic_fetch_add(&lab->found, 1);

        if (f.id != *id) {
            atomic_fetch_add(&lab->wrong_user, 1);
        }
    }

    return f;
}


/* Opens what was found in this turn, or now and then in an earlier one. */
static void
worker_open(unsigned w, flow_t *flow)
{
    found_t          f, t;
    uint32_t         id;
    static found_t   old = { .rc = V2_DECLINED };

    f = worker_find(&id);

    if (f.rc == V2_OK && rnd(4) == 0) {
        t = old;
        old = f;
        f = t;
    }

    if (f.rc != V2_OK) {
        return;
    }

    flow->row = admit(w, &f, f.id % 250, rnd(2) != 0);
    flow->account = f.account;
    flow->gen = f.gen;
    flow->id = (uint32_t) f.id;

    if (flow->row != V2_NONE) {
        atomic_fetch_add(&lab->opened, 1);
    }
}


/* What a turn has found stays as it is until the turn ends. */
static void
worker_stay(void)
{
    found_t              f;
    uint32_t             id;
    uint64_t             was;
    const v2_key_t      *key;
    const v2_account_t  *a;

    f = worker_find(&id);

    if (f.rc != V2_OK) {
        return;
    }

    usleep(rnd(4000));

    key = v2_shm_key(shm, f.key);
    a = v2_shm_account(shm, f.account);
    memcpy(&was, key->cred, 8);

    if (was != id || key->state == V2_REC_FREE || a->state == V2_REC_FREE
        || v2_shm_user(shm, a->user)->id != id)
    {
        atomic_fetch_add(&lab->wrong_grace, 1);
    }
}


static void
worker_move(unsigned w, flow_t *flow)
{
    uint64_t       n;
    v2_account_t  *a;

    a = v2_shm_account(shm, flow->account);

    if (v2_gen_life(a->gen) != v2_gen_life(flow->gen)
        || v2_shm_user(shm, a->user)->id != flow->id)
    {
        atomic_fetch_add(&lab->wrong_life, 1);
    }

    n = rnd(10000);
    v2_meter.count(shm, w, flow->row, rnd(2), n);
    atomic_fetch_add(&lab->counted[flow->id], n);

    if (v2_meter.stale(shm, w, flow->row)) {
        atomic_fetch_add(&lab->cut, 1);

    } else if (rnd(50) != 0) {
        return;
    }

    v2_meter.leave(shm, w, flow->row);
    flow->row = V2_NONE;
}


static void
worker_run(unsigned w)
{
    unsigned        i;
    flow_t          flows[FLOWS];
    v2_shm_proc_t  *me;

    me = v2_shm_proc_take(shm, V2_ROLE_WORKER, w);
    memset(flows, 0xff, sizeof(flows));

    while (!atomic_load(&lab->stop) && getppid() != 1) {
        v2_shm_turn(shm, me);

        for (i = 0; i < 16; i++) {
            flow_t  *f = &flows[rnd(FLOWS)];

            if (f->row == V2_NONE) {
                worker_open(w, f);

            } else {
                worker_move(w, f);
            }
        }

        if (rnd(8) == 0) {
            worker_stay();
        }

        v2_shm_sleep(shm, me);
        usleep(rnd(200));
    }

    for (i = 0; i < FLOWS; i++) {
        if (flows[i].row != V2_NONE) {
            v2_meter.leave(shm, w, flows[i].row);
        }
    }

    _exit(0);
}


static pid_t
worker_start(unsigned w)
{
    pid_t  pid;

    pid = fork();

    if (pid == 0) {
        worker_run(w);
    }

    return pid;
}


static void
workers_stop(const pid_t *pids)
{
    unsigned  w;

    atomic_store(&lab->stop, 1);

    for (w = 0; w < WORKERS; w++) {
        waitpid(pids[w], NULL, 0);
        v2_shm_proc_clear(shm, (uint32_t) pids[w]);
    }
}


/* --- the panel process --- */

static void
on_line(void *owner, const v2_bill_line_t *l)
{
    ledger_t  *next = owner;

    if (l->user < IDS) {
        next->sum[l->user] += l->up + l->down;
    }
}


static void
book(uint32_t node)
{
    unsigned   active;
    ledger_t  *next;

    active = lab->active;
    next = &lab->ledger[!active];
    *next = lab->ledger[active];

    v2_bill_lines(shm, node, on_line, next);
    memcpy(next->batch[node], v2_bill_batch(shm, node), 37);

    atomic_store(&lab->active, !active);
}


/* As a panel process finds it when it starts. */
static void
bill_resume(uint32_t node)
{
    switch (v2_bill_state(shm, node)) {

    case V2_REPORT_PREPARED:
        v2_bill_release(shm, node);
        break;

    case V2_REPORT_SENDING:
        if (strcmp(lab->ledger[lab->active].batch[node],
                   v2_bill_batch(shm, node)) != 0)
        {
            book(node);
        }

        v2_bill_settle(shm, node);
        break;
    }
}


static void
bill_some(uint32_t node)
{
    if (v2_bill_prepare(shm, node, rnd(2000), rnd(3) == 0) == 0) {
        return;
    }

    if (rnd(4) == 0) {
        v2_bill_release(shm, node);
        return;
    }

    v2_bill_sending(shm, node);

    if (rnd(4) == 0) {
        v2_bill_release(shm, node);
        return;
    }

    book(node);
    v2_bill_settle(shm, node);
}


/* A new list, told to the model too; how: 0 small change, else all anew. */
static void
list_some(uint32_t node, unsigned how)
{
    unsigned         id;
    v2_users_item_t  item;
    v2_users_stat_t  st;

    if (v2_users_node(us, node, 100 + node, node) != V2_OK
        || v2_users_begin(us, node, PANEL) != V2_OK)
    {
        return;
    }

    for (id = 0; id < IDS; id++) {

        if (rnd(how ? 2 : 20) == 0) {
            model[node][id] = (int) rnd(VERSIONS + 1) - 1;
        }

        if (model[node][id] != -1) {
            item = item_of(id, (uint32_t) model[node][id]);
            item.rate = rnd(8) ? 0 : 100000;
            v2_users_put(us, &item);
        }
    }

    v2_users_commit(us, &st);
}


static void
writer_run(void)
{
    us = v2_users_open(shm);

    while (us != NULL) {
        list_some(rnd(NODES), rnd(10) == 0);
        bill_some(rnd(NODES));
        v2_users_sweep(us);
    }

    _exit(1);
}


/* --- what must hold --- */

static unsigned
model_faults(uint32_t node)
{
    int       v;
    unsigned  id, bad = 0;

    for (id = 0; id < IDS; id++) {
        for (v = 0; v < VERSIONS; v++) {
            bad += known(node, id, (uint32_t) v) != (model[node][id] == v);
        }
    }

    return bad;
}


static unsigned
word_faults(void)
{
    uint32_t  i, n = 0, t = shm->index;

    for (i = 0; i <= shm->index_mask[t]; i++) {
        n += v2_shm_words(shm, t)[i] != 0;
    }

    return n != us->index.live + us->index.dead;
}


static unsigned
key_faults(void)
{
    uint32_t       k, live = 0, bad = 0;
    v2_key_t      *key;
    v2_account_t  *a;

    for (k = 0; k < shm->keys_n; k++) {
        key = v2_shm_key(shm, k);
        bad += key->state == V2_REC_FILLING;

        if (key->state == V2_REC_LIVE) {
            live++;
            a = v2_shm_account(shm, key->account);
            bad += a->state != V2_REC_LIVE || a->gen != key->gen
                   || a->key != k
                   || v2_index_find(shm, key->node, key->cred, key->len) != k;
        }
    }

    return bad + (us->index.live != live) + word_faults();
}


static unsigned
account_faults(void)
{
    unsigned       way;
    uint32_t       i, bad = 0;
    v2_account_t  *a;

    for (i = 0; i < shm->accounts_n; i++) {
        a = v2_shm_account(shm, i);
        bad += a->state == V2_REC_FILLING;

        for (way = 0; way < 2; way++) {
            bad += a->settled[way] > a->mark[way]
                   || a->mark[way] > (way ? a->down : a->up);
        }

        if (a->state == V2_REC_FREE) {
            bad += a->up != a->settled[0] || a->down != a->settled[1];
        }
    }

    return bad;
}


static unsigned
sum_faults(void)
{
    unsigned       id, bad = 0;
    uint32_t       i;
    uint64_t       owed[IDS] = { 0 };
    v2_account_t  *a;

    for (i = 0; i < shm->accounts_n; i++) {
        a = v2_shm_account(shm, i);

        if (a->state != V2_REC_FREE) {
            owed[v2_shm_user(shm, a->user)->id] += a->up - a->settled[0]
                                                   + a->down - a->settled[1];
        }
    }

    for (id = 0; id < IDS; id++) {
        bad += lab->ledger[lab->active].sum[id] + owed[id]
               != lab->counted[id];
    }

    return bad;
}


static void
test_live(void)
{
    unsigned  i, bad = 0, wrong = 0;

    for (i = 0; i < LISTS; i++) {
        list_some(i % NODES, rnd(10) == 0);
        bad += model_faults(i % NODES);
        bill_some(rnd(NODES));
        v2_users_sweep(us);
        wrong += key_faults() + account_faults();
        usleep(rnd(500));
    }

    is_int(bad, 0, "after each list exactly its users are found");
    is_int(wrong, 0, "and each record is whole");
}


static void
test_deaths(void)
{
    pid_t     pid;
    unsigned  i, node, bad = 0, wrong = 0, lost = 0;

    v2_users_close(us);

    for (i = 0; i < DEATHS; i++) {
        pid = fork();

        if (pid == 0) {
            writer_run();
        }

        usleep(100 + rnd(3000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);

        us = v2_users_open(shm);

        if (us == NULL) {
            lost++;
            break;
        }

        wrong += key_faults() + account_faults();

        for (node = 0; node < NODES; node++) {
            bill_resume(node);

            if (i % 5 == 0) {
                list_some(node, 1);
                bad += model_faults(node);
            }
        }

        wrong += key_faults() + account_faults();
        v2_users_sweep(us);
        v2_users_close(us);
    }

    is_int(lost, 0, "each time a new writer starts");
    is_int(wrong, 0, "with whole records");
    is_int(bad, 0, "and after a list exactly its users are found");

    us = v2_users_open(shm);
}


/* Nothing is live, so nothing stays once it is paid. */
static void
test_end(void)
{
    uint32_t         i, left = 0;
    unsigned         node;
    v2_users_stat_t  st;

    for (node = 0; node < NODES; node++) {
        bill_resume(node);
        v2_users_begin(us, node, PANEL);
        v2_users_commit(us, &st);

        if (v2_bill_prepare(shm, node, 0, 1) != 0) {
            book(node);
            v2_bill_settle(shm, node);
        }
    }

    is_int(sum_faults(), 0, "booked is counted, for each user");

    v2_users_sweep(us);
    v2_users_sweep(us);

    for (i = 0; i < shm->accounts_n; i++) {
        left += v2_shm_account(shm, i)->state != V2_REC_FREE;
    }

    for (i = 0; i < shm->keys_n; i++) {
        left += v2_shm_key(shm, i)->state != V2_REC_FREE;
    }

    for (i = 0; i < shm->users_n; i++) {
        left += v2_shm_user(shm, i)->state != V2_REC_FREE;
    }

    is_int(left, 0, "and all records are free");
    ok(shm->accounts_n <= 4 * IDS * NODES,
       "they were used again: %u accounts, %u keys", shm->accounts_n,
       shm->keys_n);
}


/* Flows of a worker that was killed hold nobody. */
static void
test_dead_worker(void)
{
    pid_t            pid;
    unsigned         node;
    uint32_t         i, left = 0;
    v2_users_stat_t  st;

    atomic_store(&lab->stop, 0);
    list_some(0, 1);
    pid = worker_start(0);

    for (i = 0; i < 5000 && lab->opened == 0; i++) {
        usleep(1000);
    }

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    v2_shm_proc_clear(shm, (uint32_t) pid);

    for (node = 0; node < NODES; node++) {
        v2_users_begin(us, node, PANEL);
        v2_users_commit(us, &st);

        if (v2_bill_prepare(shm, node, 0, 1) != 0) {
            v2_bill_settle(shm, node);
        }
    }

    v2_users_sweep(us);

    for (i = 0; i < shm->accounts_n; i++) {
        left += v2_shm_account(shm, i)->state != V2_REC_FREE;
    }

    is_int(left, 0, "a dead worker's flows hold no account");
}


int
main(void)
{
    unsigned  w;
    pid_t     pids[WORKERS];

    world_open();
    v2_time_set(0);
    v2_time_update();

    lab = mmap(NULL, sizeof(*lab), PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(model, 0xff, sizeof(model));

    for (w = 0; w < WORKERS; w++) {
        pids[w] = worker_start(w);
    }

    test_live();
    test_deaths();

    workers_stop(pids);

    is_int(lab->wrong_user, 0, "no worker found another user");
    is_int(lab->wrong_life, 0, "no flow outlived its account");
    is_int(lab->wrong_grace, 0, "nothing changed under a turn");
    is_int(sum_faults(), 0, "booked and owed is counted, for each user");
    ok(lab->opened > 0 && lab->cut > 0, "%" PRIu64 " found, %" PRIu64
       " opened, %" PRIu64 " cut", lab->found, lab->opened, lab->cut);

    test_end();

    lab->opened = 0;
    test_dead_worker();

    world_close();

    return done_testing();
}
