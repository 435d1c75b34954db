/* Reports: what accounts owe, the open batch of a node, and who was online.
 * Runs in the panel process, the only writer of marks and settled amounts;
 * workers count beside it.
 *
 *   NONE --prepare--> PREPARED --sending--> SENDING
 *     ^--release---------'                     |
 *     ^--release (refused), settle (booked, unknown)
 *
 * Invariants
 *  1. settled <= mark <= counted for each account and direction.
 *  2. A batch is exactly the accounts of the node whose mark is not settled,
 *     while the node's report is not NONE. In NONE a mark means nothing:
 *     prepare sets all of them anew.
 *  3. The store to `report` is the last of prepare, and the last of settle,
 *     which may therefore be done again from the start. It is the first of
 *     release: the marks that a death leaves behind are dead ones.
 *  4. A node has one account for a user, so a batch has one line for him.
 *
 * Nothing here knows panels: how a batch is sent, and what its answer means. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_bill.h"
#include "v2_log.h"
#include "v2_recent.h"

#include <uuid/uuid.h>

/* One address that somebody used. */
typedef struct {
    uint32_t     account;
    v2_addr_t    ip;                    /* port 0 */
} v2_alive_t;

typedef struct {
    v2_shm_t    *shm;
    uint32_t     node;
    v2_alive_t  *list;
    uint32_t     n, cap;
    unsigned     failed:1;              /* no memory */
} v2_alive_set_t;

static v2_account_t *v2_bill_next(v2_shm_t *shm, uint32_t node, uint32_t *i);
static uint64_t v2_bill_counted(const v2_account_t *a, unsigned way);
static uint64_t v2_bill_due(const v2_account_t *a);
static void v2_bill_unmark(v2_account_t *a);
static void v2_bill_report(v2_shm_t *shm, uint32_t node, unsigned state);
static void v2_alive_rows(v2_alive_set_t *set, const v2_shm_rows_t *rows);
static void v2_alive_recent(void *owner, const v2_shm_recent_t *entry);
static void v2_alive_add(v2_alive_set_t *set, uint32_t account, uint32_t gen,
    const v2_addr_t *addr);
static int v2_alive_cmp(const void *x, const void *y);

#define v2_bill_load(x)     atomic_load_explicit(x, memory_order_relaxed)
#define v2_bill_store(x, v) atomic_store_explicit(x, v, memory_order_release)
#define v2_bill_user(shm, a) \
    (v2_shm_user(shm, (a)->user & (V2_SHM_USERS - 1))->id)


uint32_t
v2_bill_prepare(v2_shm_t *shm, uint32_t node, uint64_t min_bytes, int all)
{
    uint32_t       i, n = 0;
    uint64_t       up, down, due;
    uuid_t         id;
    v2_account_t  *a;

    v2_assert(node < V2_SHM_NODES
              && v2_bill_state(shm, node) == V2_REPORT_NONE);

    for (i = 0; (a = v2_bill_next(shm, node, &i)) != NULL; i++) {
        up = v2_bill_counted(a, 0);
        down = v2_bill_counted(a, 1);
        due = up - v2_bill_load(&a->settled[0])
              + (down - v2_bill_load(&a->settled[1]));

        if (due == 0
            || (due <= min_bytes && !all
                && v2_bill_load(&a->state) != V2_REC_CLOSING))
        {
            v2_bill_unmark(a);
            continue;
        }

        v2_bill_store(&a->mark[0], up);
        v2_bill_store(&a->mark[1], down);
        n++;
    }

    if (n != 0) {
        uuid_generate(id);
        uuid_unparse_lower(id, shm->nodes[node].batch);
        v2_bill_report(shm, node, V2_REPORT_PREPARED);
    }

    return n;
}


void
v2_bill_lines(v2_shm_t *shm, uint32_t node, v2_bill_pt line, void *owner)
{
    uint32_t         i;
    v2_account_t    *a;
    v2_bill_line_t   l;

    if (v2_bill_state(shm, node) == V2_REPORT_NONE) {
        return;
    }

    for (i = 0; (a = v2_bill_next(shm, node, &i)) != NULL; i++) {
        l.up = v2_bill_load(&a->mark[0]) - v2_bill_load(&a->settled[0]);
        l.down = v2_bill_load(&a->mark[1]) - v2_bill_load(&a->settled[1]);

        if (l.up != 0 || l.down != 0) {
            l.user = v2_bill_user(shm, a);
            line(owner, &l);
        }
    }
}


void
v2_bill_sending(v2_shm_t *shm, uint32_t node)
{
    v2_assert(v2_bill_state(shm, node) == V2_REPORT_PREPARED);

    v2_bill_report(shm, node, V2_REPORT_SENDING);
}


void
v2_bill_settle(v2_shm_t *shm, uint32_t node)
{
    unsigned       way;
    uint32_t       i;
    v2_account_t  *a;

    v2_assert(v2_bill_state(shm, node) != V2_REPORT_NONE);

    if (v2_bill_state(shm, node) == V2_REPORT_NONE) {
        return;
    }

    for (i = 0; (a = v2_bill_next(shm, node, &i)) != NULL; i++) {
        for (way = 0; way < 2; way++) {
            v2_bill_store(&a->settled[way], v2_bill_load(&a->mark[way]));
        }
    }

    v2_bill_report(shm, node, V2_REPORT_NONE);
}


void
v2_bill_release(v2_shm_t *shm, uint32_t node)
{
    uint32_t       i;
    v2_account_t  *a;

    v2_bill_report(shm, node, V2_REPORT_NONE);

    for (i = 0; (a = v2_bill_next(shm, node, &i)) != NULL; i++) {
        v2_bill_unmark(a);
    }
}


unsigned
v2_bill_state(const v2_shm_t *shm, uint32_t node)
{
    v2_assert(node < V2_SHM_NODES);

    return atomic_load(&shm->nodes[node].report);
}


const char *
v2_bill_batch(const v2_shm_t *shm, uint32_t node)
{
    v2_assert(node < V2_SHM_NODES);

    return shm->nodes[node].batch;
}


uint64_t
v2_bill_owed(const v2_shm_t *shm, uint32_t node)
{
    uint32_t             i, n;
    uint64_t             sum = 0;
    const v2_account_t  *a;

    n = v2_min(v2_bill_load(&shm->accounts_n), V2_SHM_ACCOUNTS);

    for (i = 0; i < n; i++) {
        a = v2_shm_account(shm, i);

        if (a->node == node && v2_bill_load(&a->state) >= V2_REC_LIVE) {
            sum += v2_bill_due(a);
        }
    }

    return sum;
}


/* A set of (account, address) is sorted, so that equal ones stand side by
 * side. An account is one user of this node, so (user, address) is distinct. */

void
v2_bill_alive(v2_shm_t *shm, uint32_t node, uint32_t since, v2_alive_pt addr,
    void *owner)
{
    uint32_t              i;
    v2_alive_t           *x;
    const v2_account_t   *a;
    const v2_shm_proc_t  *p;
    v2_alive_set_t        set = { .shm = shm, .node = node };

    for (i = 0; i < V2_SHM_PROCS; i++) {
        p = &shm->procs[i];

        if (atomic_load(&p->pid) == 0
            || atomic_load(&p->role) != V2_ROLE_WORKER
            || p->worker >= V2_SHM_WORKERS)
        {
            continue;
        }

        v2_alive_rows(&set, v2_shm_rows(shm, p->worker));
        v2_recent_each(v2_shm_rows(shm, p->worker), since, v2_alive_recent,
                       &set);
    }

    if (set.n != 0) {
        qsort(set.list, set.n, sizeof(v2_alive_t), v2_alive_cmp);
    }

    for (i = 0; i < set.n; i++) {
        x = &set.list[i];

        if (i == 0 || v2_alive_cmp(x - 1, x) != 0) {
            a = v2_shm_account(shm, x->account);
            addr(owner, v2_bill_user(shm, a), &x->ip, v2_bill_due(a));
        }
    }

    free(set.list);
}


/* The node's next account at *i or above that is LIVE or CLOSING. */

static v2_account_t *
v2_bill_next(v2_shm_t *shm, uint32_t node, uint32_t *i)
{
    uint32_t       n;
    v2_account_t  *a;

    n = v2_min(v2_bill_load(&shm->accounts_n), V2_SHM_ACCOUNTS);

    for ( ; *i < n; (*i)++) {
        a = v2_shm_account(shm, *i);

        if (a->node == node && v2_bill_load(&a->state) >= V2_REC_LIVE) {
            return a;
        }
    }

    return NULL;
}


static uint64_t
v2_bill_counted(const v2_account_t *a, unsigned way)
{
    return v2_bill_load(way ? &a->down : &a->up);
}


static uint64_t
v2_bill_due(const v2_account_t *a)
{
    return v2_bill_counted(a, 0) - v2_bill_load(&a->settled[0])
           + (v2_bill_counted(a, 1) - v2_bill_load(&a->settled[1]));
}


static void
v2_bill_unmark(v2_account_t *a)
{
    unsigned  way;

    for (way = 0; way < 2; way++) {
        if (v2_bill_load(&a->mark[way]) != v2_bill_load(&a->settled[way])) {
            v2_bill_store(&a->mark[way], v2_bill_load(&a->settled[way]));
        }
    }
}


static void
v2_bill_report(v2_shm_t *shm, uint32_t node, unsigned state)
{
    v2_assert(node < V2_SHM_NODES);

    atomic_store(&shm->nodes[node].report, state);
}


/* A row is believed if its flags are the same before and after: they carry
 * the number of its uses. */

static void
v2_alive_rows(v2_alive_set_t *set, const v2_shm_rows_t *rows)
{
    uint32_t   i, n, flags, again, account, gen;
    v2_addr_t  addr;

    n = atomic_load_explicit(&rows->count, memory_order_acquire);

    for (i = 0; i < v2_min(n, V2_SHM_ROWS); i++) {
        flags = atomic_load_explicit(&rows->flags[i], memory_order_acquire);

        if (!(flags & V2_ROW_USED)) {
            continue;
        }

        account = rows->account[i];
        gen = rows->gen[i];
        addr = rows->addr[i];

        atomic_thread_fence(memory_order_acquire);
        again = v2_bill_load(&rows->flags[i]);

        if (((flags ^ again) & ~(V2_ROW_MOVED | V2_ROW_CLOSE)) == 0) {
            v2_alive_add(set, account, gen, &addr);
        }
    }
}


static void
v2_alive_recent(void *owner, const v2_shm_recent_t *entry)
{
    v2_alive_add(owner, entry->account, entry->gen, &entry->addr);
}


static void
v2_alive_add(v2_alive_set_t *set, uint32_t account, uint32_t gen,
    const v2_addr_t *addr)
{
    uint32_t             cap;
    v2_alive_t          *list;
    const v2_account_t  *a;

    if (account >= V2_SHM_ACCOUNTS) {
        return;
    }

    a = v2_shm_account(set->shm, account);

    if (a->node != set->node
        || v2_gen_life(v2_bill_load(&a->gen)) != v2_gen_life(gen)
        || v2_bill_load(&a->state) < V2_REC_LIVE)
    {
        return;
    }

    if (set->n == set->cap) {
        cap = set->cap ? set->cap * 2 : 256;
        list = realloc(set->list, cap * sizeof(*list));

        if (list == NULL) {
            if (!set->failed) {
                v2_log(V2_LOG_ERR, NULL, errno, "no memory for %u addresses; "
                       "those beyond are not reported", cap);
            }

            set->failed = 1;
            return;
        }

        set->list = list;
        set->cap = cap;
    }

    memset(&set->list[set->n], 0, sizeof(v2_alive_t));
    set->list[set->n].account = account;
    set->list[set->n].ip = *addr;
    set->list[set->n].ip.port = 0;
    set->n++;
}


static int
v2_alive_cmp(const void *x, const void *y)
{
    const v2_alive_t  *a = x, *b = y;

    if (a->account != b->account) {
        return a->account < b->account ? -1 : 1;
    }

    if (a->ip.family != b->ip.family) {
        return a->ip.family < b->ip.family ? -1 : 1;
    }

    return memcmp(a->ip.ip, b->ip.ip, a->ip.family == 4 ? 4 : 16);
}
