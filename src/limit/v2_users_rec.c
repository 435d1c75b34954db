/* The records of users, accounts and keys: taking, filling, publishing,
 * closing, freeing. Runs in the panel process, the only writer; workers read
 * beside it, and the process may die between any two stores.
 *
 *   FREE -> FILLING -> LIVE -> CLOSING -> FREE     (a user has no CLOSING)
 *                       ^--------'                 (account put again)
 *
 * Invariants
 *  1. state is stored last when a record is filled; FILLING was never seen by
 *     a worker and is FREE again at the next start.
 *  2. A key is good while it is LIVE, its account is LIVE, and both have the
 *     same gen. At most one key of an account can be: taking a key away moves
 *     the account's gen first. The next start keeps exactly the good ones.
 *  3. A key is freed after grace. An account is freed after grace, when no
 *     live worker has a flow of it and all that was counted is settled; only
 *     then does its life grow.
 *  4. counted, mark and settled are never set back: a free record has all
 *     three equal, and the next life goes on from there. So no order of
 *     stores can make bytes appear or vanish.
 *  5. Lists of free and closing records run through the records themselves;
 *     nothing here fails for want of private memory but the two maps. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_users_rec.h"
#include "v2_flat.h"
#include "v2_log.h"

static void v2_rec_open_users(v2_users_t *us);
static v2_int_t v2_rec_open_accounts(v2_users_t *us);
static v2_int_t v2_rec_adopt(v2_users_t *us, uint32_t i);
static void v2_rec_open_keys(v2_users_t *us);
static v2_int_t v2_rec_name_users(v2_users_t *us);

static uint32_t v2_rec_hash(v2_users_t *us, uint32_t space, uint64_t id);
static uint32_t v2_rec_user_get(v2_users_t *us, uint32_t panel, uint64_t id);
static void v2_rec_user_put(v2_users_t *us, uint32_t u);
static uint32_t v2_rec_take(uint32_t *head, uint32_t *next, v2_a32_t *high,
    uint32_t max);
static uint32_t v2_rec_fill_key(v2_users_t *us, uint32_t i, uint32_t gen,
    const v2_users_item_t *item);
static void v2_rec_close_key(v2_users_t *us, uint32_t k);
static void v2_rec_sweep_keys(v2_users_t *us, uint64_t seen);
static void v2_rec_sweep_accounts(v2_users_t *us, uint64_t seen);
static int v2_rec_idle(v2_users_t *us, uint32_t i, const uint32_t *blocks,
    uint32_t n);
static void v2_rec_free(v2_users_t *us, uint32_t i);
static uint32_t v2_rec_blocks(const v2_shm_t *shm, uint32_t *blocks);

#define v2_rec_state(r) \
    atomic_load_explicit(&(r)->state, memory_order_relaxed)
#define v2_rec_set_state(r, s) \
    atomic_store_explicit(&(r)->state, s, memory_order_release)
#define v2_rec_high(shm, what, max) \
    v2_min(atomic_load_explicit(&(shm)->what, memory_order_relaxed), max)


v2_int_t
v2_rec_open(v2_users_t *us)
{
    v2_rec_open_users(us);

    if (v2_rec_open_accounts(us) != V2_OK || v2_rec_name_users(us) != V2_OK) {
        return V2_ERROR;
    }

    v2_rec_open_keys(us);

    if (v2_index_open(&us->index, us->shm) != V2_OK) {
        return V2_ERROR;
    }

    /* whoever died may have owed both */

    us->cut_due = 1;
    us->epoch_due = 1;
    v2_rec_publish(us);

    return V2_OK;
}


uint32_t
v2_rec_find(v2_users_t *us, uint32_t node, uint64_t id)
{
    uint32_t             i, at, hash;
    const v2_account_t  *a;

    hash = v2_rec_hash(us, node, id);

    for (i = v2_map_first(&us->accounts, hash, &at);
         i != V2_NONE;
         i = v2_map_next(&us->accounts, hash, &at))
    {
        a = v2_rec_account(us, i);

        if (a->node == node && v2_rec_user(us, a->user)->id == id) {
            break;
        }
    }

    return i;
}


uint32_t
v2_rec_add(v2_users_t *us, uint32_t node, uint32_t panel,
    const v2_users_item_t *item)
{
    uint32_t       i, u;
    v2_shm_t      *shm = us->shm;
    v2_account_t  *a;

    u = v2_rec_user_get(us, panel, item->id);
    if (u == V2_NONE) {
        return V2_NONE;
    }

    a = v2_rec_account(us, us->free_accounts - 1);
    i = v2_rec_take(&us->free_accounts, &a->next, &shm->accounts_n,
                    V2_SHM_ACCOUNTS);

    if (i == V2_NONE
        || v2_map_add(&us->accounts, v2_rec_hash(us, node, item->id), i)
           != V2_OK)
    {
        v2_log(V2_LOG_ERR, NULL, 0, "no room for an account of user %" PRIu64,
               item->id);

        if (i != V2_NONE) {
            v2_shm_account(shm, i)->next = us->free_accounts;
            us->free_accounts = i + 1;
        }

        if (v2_shm_user(shm, u)->accounts == 0) {
            v2_rec_user_put(us, u);
        }

        return V2_NONE;
    }

    a = v2_shm_account(shm, i);
    v2_rec_set_state(a, V2_REC_FILLING);

    a->user = u;
    a->node = node;
    a->key = V2_NONE;
    a->list = 0;
    a->linked = 0;
    a->uuid_hash = 0;
    atomic_store(&a->rate, 0);
    atomic_store(&a->tat[0], 0);
    atomic_store(&a->tat[1], 0);
    atomic_store(&a->active, 0);

    v2_shm_user(shm, u)->accounts++;
    us->node_n[node]++;
    us->node_live[node]++;

    v2_rec_set_state(a, V2_REC_LIVE);

    return i;
}


/* The new key is complete before the account's gen moves to it, and the old
 * one is no longer good from that store on. */

v2_int_t
v2_rec_key(v2_users_t *us, uint32_t i, const v2_users_item_t *item)
{
    uint32_t       k, old, gen;
    v2_account_t  *a;

    a = v2_rec_account(us, i);
    gen = atomic_load_explicit(&a->gen, memory_order_relaxed);
    old = a->key;
    k = V2_NONE;

    if (old != V2_NONE) {
        gen = v2_gen_next_key(gen);
    }

    if (item->cred.len != 0) {
        k = v2_rec_fill_key(us, i, gen, item);
        if (k == V2_NONE) {
            return V2_ERROR;
        }
    }

    atomic_store_explicit(&a->gen, gen, memory_order_release);
    a->key = k;
    a->uuid_hash = item->uuid_hash;

    if (v2_rec_state(a) == V2_REC_CLOSING) {
        v2_rec_revive(us, i);
    }

    if (old != V2_NONE) {
        v2_rec_close_key(us, old);
    }

    return V2_OK;
}


void
v2_rec_revive(v2_users_t *us, uint32_t i)
{
    v2_account_t  *a;

    a = v2_rec_account(us, i);

    us->node_live[v2_rec_node(a)]++;
    v2_rec_set_state(a, V2_REC_LIVE);
}


void
v2_rec_drop_key(v2_users_t *us, uint32_t i)
{
    uint32_t       k, gen;
    v2_account_t  *a;

    a = v2_rec_account(us, i);
    k = a->key;

    if (k == V2_NONE) {
        return;
    }

    gen = atomic_load_explicit(&a->gen, memory_order_relaxed);
    atomic_store_explicit(&a->gen, v2_gen_next_key(gen), memory_order_release);
    a->key = V2_NONE;
    v2_rec_close_key(us, k);
}


/* The gen moves also when there is no key, so that an account which is put
 * again before its flows saw CLOSING does not keep them. */

void
v2_rec_close(v2_users_t *us, uint32_t i)
{
    uint32_t       gen;
    v2_account_t  *a;

    a = v2_rec_account(us, i);

    if (a->key != V2_NONE) {
        v2_rec_drop_key(us, i);

    } else {
        gen = atomic_load_explicit(&a->gen, memory_order_relaxed);
        atomic_store_explicit(&a->gen, v2_gen_next_key(gen),
                              memory_order_release);
    }

    if (v2_rec_state(a) == V2_REC_LIVE) {
        us->node_live[v2_rec_node(a)]--;
    }

    v2_rec_set_state(a, V2_REC_CLOSING);

    a->grace = atomic_load_explicit(&us->shm->epoch, memory_order_relaxed) + 1;
    us->epoch_due = 1;
    us->cut_due = 1;

    if (!a->linked) {
        a->linked = 1;
        a->next = us->closing_accounts;
        us->closing_accounts = i + 1;
    }
}


/* The bucket counts in time, not bytes: a wait that belongs to the old rate
 * must not outlive it. */

int
v2_rec_limits(v2_users_t *us, uint32_t i, const v2_users_item_t *item)
{
    int            changed = 0;
    v2_user_t     *u;
    v2_account_t  *a;

    a = v2_rec_account(us, i);
    u = v2_rec_user(us, a->user);

    if (atomic_load_explicit(&a->rate, memory_order_relaxed) != item->rate) {
        atomic_store(&a->rate, item->rate);
        atomic_store(&a->tat[0], 0);
        atomic_store(&a->tat[1], 0);
        changed = 1;
    }

    if (atomic_load_explicit(&u->device_limit, memory_order_relaxed)
        != item->device_limit)
    {
        atomic_store(&u->device_limit, item->device_limit);
        changed = 1;
    }

    if (atomic_load_explicit(&u->conn_limit, memory_order_relaxed)
        != item->conn_limit)
    {
        atomic_store(&u->conn_limit, item->conn_limit);
        changed = 1;
    }

    return changed;
}


void
v2_rec_publish(v2_users_t *us)
{
    if (us->cut_due) {
        us->cut_due = 0;
        atomic_fetch_add(&us->shm->cut, 1);
    }

    if (us->epoch_due) {
        us->epoch_due = 0;
        (void) v2_shm_epoch_next(us->shm);
    }
}


void
v2_rec_sweep(v2_users_t *us)
{
    uint32_t        i;
    uint64_t        seen;
    v2_shm_node_t  *node;

    v2_rec_publish(us);
    v2_index_sweep(&us->index);

    seen = v2_shm_epoch_seen(us->shm);

    v2_rec_sweep_keys(us, seen);
    v2_rec_sweep_accounts(us, seen);

    for (i = 0; i < V2_SHM_NODES; i++) {
        node = &us->shm->nodes[i];

        if (us->node_n[i] == 0 && v2_rec_state(node) == V2_REC_CLOSING) {
            v2_rec_set_state(node, V2_REC_FREE);
        }
    }
}


/* Users are named (mapped) once their accounts are counted: see
 * v2_rec_name_users. */

static void
v2_rec_open_users(v2_users_t *us)
{
    uint32_t  u, n;

    n = v2_rec_high(us->shm, users_n, V2_SHM_USERS);

    for (u = 0; u < n; u++) {
        v2_shm_user(us->shm, u)->accounts = 0;
    }
}


/* From the end to the start, so that the free list gives low numbers first. */

static v2_int_t
v2_rec_open_accounts(v2_users_t *us)
{
    uint32_t       i;
    v2_account_t  *a;

    i = v2_rec_high(us->shm, accounts_n, V2_SHM_ACCOUNTS);

    while (i-- != 0) {
        a = v2_rec_account(us, i);

        a->key = V2_NONE;
        a->list = 0;
        a->linked = 0;

        if (v2_rec_state(a) == V2_REC_FREE
            || v2_rec_state(a) == V2_REC_FILLING)
        {
            v2_rec_set_state(a, V2_REC_FREE);
            a->next = us->free_accounts;
            us->free_accounts = i + 1;
            continue;
        }

        if (v2_rec_adopt(us, i) != V2_OK) {
            return V2_ERROR;
        }
    }

    return V2_OK;
}


static v2_int_t
v2_rec_adopt(v2_users_t *us, uint32_t i)
{
    uint32_t       node;
    v2_user_t     *u;
    v2_account_t  *a;

    a = v2_rec_account(us, i);

    if (a->user >= V2_SHM_USERS || a->node >= V2_SHM_NODES) {
        v2_log(V2_LOG_ALERT, NULL, 0, "account %u in shared memory is broken, "
               "start v2sp anew", i);
        return V2_ERROR;
    }

    u = v2_shm_user(us->shm, a->user);
    u->accounts++;
    us->node_n[a->node]++;

    if (v2_map_add(&us->accounts, v2_rec_hash(us, a->node, u->id), i)
        != V2_OK)
    {
        return V2_ERROR;
    }

    node = v2_rec_state(&us->shm->nodes[a->node]);

    if (v2_rec_state(a) == V2_REC_LIVE
        && (node == V2_REC_LIVE || node == V2_REC_FILLING))
    {
        us->node_live[a->node]++;
        return V2_OK;
    }

    v2_rec_set_state(a, V2_REC_CLOSING);
    v2_rec_close(us, i);

    return V2_OK;
}


static void
v2_rec_open_keys(v2_users_t *us)
{
    uint32_t       k;
    v2_key_t      *key;
    v2_account_t  *a;

    k = v2_rec_high(us->shm, keys_n, V2_SHM_KEYS);

    while (k-- != 0) {
        key = v2_shm_key(us->shm, k);

        if (v2_rec_state(key) == V2_REC_FREE
            || v2_rec_state(key) == V2_REC_FILLING)
        {
            v2_rec_set_state(key, V2_REC_FREE);
            key->next = us->free_keys;
            us->free_keys = k + 1;
            continue;
        }

        a = v2_shm_account(us->shm, v2_min(key->account, V2_SHM_ACCOUNTS - 1));

        if (v2_rec_state(key) == V2_REC_LIVE
            && v2_rec_state(a) == V2_REC_LIVE
            && key->gen == atomic_load(&a->gen) && a->key == V2_NONE)
        {
            a->key = k;
            continue;
        }

        /* no table has it: the index is opened after this */

        v2_rec_set_state(key, V2_REC_CLOSING);
        v2_rec_close_key(us, k);
    }
}


static v2_int_t
v2_rec_name_users(v2_users_t *us)
{
    uint32_t    u;
    v2_user_t  *user;

    u = v2_rec_high(us->shm, users_n, V2_SHM_USERS);

    while (u-- != 0) {
        user = v2_shm_user(us->shm, u);

        if (user->accounts == 0) {
            v2_rec_set_state(user, V2_REC_FREE);
            user->next = us->free_users;
            us->free_users = u + 1;
            continue;
        }

        if (v2_map_add(&us->users, v2_rec_hash(us, user->panel, user->id), u)
            != V2_OK)
        {
            return V2_ERROR;
        }
    }

    return V2_OK;
}


static uint32_t
v2_rec_hash(v2_users_t *us, uint32_t space, uint64_t id)
{
    return (uint32_t) v2_hash64(&id, sizeof(id), us->shm->seed + space);
}


/* The user record of (panel, id), made if it is not there; one that got no
 * account is put back by the caller. */

static uint32_t
v2_rec_user_get(v2_users_t *us, uint32_t panel, uint64_t id)
{
    uint32_t    u, at, hash;
    v2_user_t  *user;

    hash = v2_rec_hash(us, panel, id);

    for (u = v2_map_first(&us->users, hash, &at);
         u != V2_NONE;
         u = v2_map_next(&us->users, hash, &at))
    {
        user = v2_shm_user(us->shm, u);

        if (user->panel == panel && user->id == id) {
            return u;
        }
    }

    user = v2_rec_user(us, us->free_users - 1);
    u = v2_rec_take(&us->free_users, &user->next, &us->shm->users_n,
                    V2_SHM_USERS);

    if (u == V2_NONE || v2_map_add(&us->users, hash, u) != V2_OK) {
        v2_log(V2_LOG_ERR, NULL, 0, "no room for user %" PRIu64, id);

        if (u != V2_NONE) {
            v2_shm_user(us->shm, u)->next = us->free_users;
            us->free_users = u + 1;
        }

        return V2_NONE;
    }

    user = v2_shm_user(us->shm, u);
    v2_rec_set_state(user, V2_REC_FILLING);

    user->panel = panel;
    user->id = id;
    user->accounts = 0;
    atomic_store(&user->device_limit, 0);
    atomic_store(&user->conn_limit, 0);

    v2_rec_set_state(user, V2_REC_LIVE);

    return u;
}


static void
v2_rec_user_put(v2_users_t *us, uint32_t u)
{
    v2_user_t  *user;

    user = v2_shm_user(us->shm, u);

    v2_map_del(&us->users, v2_rec_hash(us, user->panel, user->id), u);
    v2_rec_set_state(user, V2_REC_FREE);

    user->next = us->free_users;
    us->free_users = u + 1;
}


/* A record number from a free list whose first record has *next, or else from
 * above the high-water mark. */

static uint32_t
v2_rec_take(uint32_t *head, uint32_t *next, v2_a32_t *high, uint32_t max)
{
    uint32_t  i;

    if (*head != 0) {
        i = v2_rec_link(*head, max);
        *head = *next;
        return i;
    }

    i = atomic_load_explicit(high, memory_order_relaxed);

    if (i >= max) {
        return V2_NONE;
    }

    atomic_store_explicit(high, i + 1, memory_order_release);

    return i;
}


static uint32_t
v2_rec_fill_key(v2_users_t *us, uint32_t i, uint32_t gen,
    const v2_users_item_t *item)
{
    uint32_t   k, node;
    v2_key_t  *key;
    v2_shm_t  *shm = us->shm;

    node = v2_rec_account(us, i)->node;
    key = v2_shm_key(shm, v2_rec_link(us->free_keys, V2_SHM_KEYS));
    k = v2_rec_take(&us->free_keys, &key->next, &shm->keys_n, V2_SHM_KEYS);

    if (k == V2_NONE) {
        v2_log(V2_LOG_ERR, NULL, 0, "no room for a key of user %" PRIu64,
               item->id);
        return V2_NONE;
    }

    key = v2_shm_key(shm, k);
    v2_rec_set_state(key, V2_REC_FILLING);

    key->account = i;
    key->gen = gen;
    key->node = node;
    key->len = item->cred.len;
    memset(key->cred, 0, sizeof(key->cred));
    memcpy(key->cred, item->cred.bytes, item->cred.len);
    key->hash = v2_index_hash(shm, node, key->cred, key->len);

    v2_rec_set_state(key, V2_REC_LIVE);

    if (v2_index_add(&us->index, k) != V2_OK) {
        v2_rec_set_state(key, V2_REC_CLOSING);
        v2_rec_close_key(us, k);
        return V2_NONE;
    }

    return k;
}


static void
v2_rec_close_key(v2_users_t *us, uint32_t k)
{
    v2_key_t  *key;

    key = v2_shm_key(us->shm, k);

    v2_rec_set_state(key, V2_REC_CLOSING);

    if (us->index.shm != NULL) {
        v2_index_del(&us->index, k);
    }

    key->hash = atomic_load_explicit(&us->shm->epoch, memory_order_relaxed)
                + 1;
    us->epoch_due = 1;
    us->cut_due = 1;

    key->next = us->closing_keys;
    us->closing_keys = k + 1;
}


static void
v2_rec_sweep_keys(v2_users_t *us, uint64_t seen)
{
    uint32_t   k, *link;
    v2_key_t  *key;

    link = &us->closing_keys;

    while (*link != 0) {
        k = v2_rec_link(*link, V2_SHM_KEYS);
        key = v2_shm_key(us->shm, k);

        if (key->hash > seen) {
            link = &key->next;
            continue;
        }

        *link = key->next;
        v2_rec_set_state(key, V2_REC_FREE);
        key->next = us->free_keys;
        us->free_keys = k + 1;
    }
}


static void
v2_rec_sweep_accounts(v2_users_t *us, uint64_t seen)
{
    uint32_t       i, n, *link, blocks[V2_SHM_PROCS];
    v2_account_t  *a;

    link = &us->closing_accounts;
    n = v2_rec_blocks(us->shm, blocks);

    while (*link != 0) {
        i = v2_rec_link(*link, V2_SHM_ACCOUNTS);
        a = v2_rec_account(us, i);

        if (v2_rec_state(a) == V2_REC_CLOSING
            && (a->grace > seen || !v2_rec_idle(us, i, blocks, n)))
        {
            link = &a->next;
            continue;
        }

        *link = a->next;
        a->linked = 0;

        if (v2_rec_state(a) == V2_REC_CLOSING) {
            v2_rec_free(us, i);
        }
    }
}


static int
v2_rec_idle(v2_users_t *us, uint32_t i, const uint32_t *blocks, uint32_t n)
{
    uint32_t              b;
    const v2_account_t   *a;
    const v2_shm_rows_t  *rows;

    a = v2_rec_account(us, i);

    for (b = 0; b < n; b++) {
        rows = v2_shm_rows(us->shm, blocks[b]);

        if (atomic_load(&rows->live_tcp[i]) != 0
            || atomic_load(&rows->live_udp[i]) != 0)
        {
            return 0;
        }
    }

    return atomic_load(&a->up) == atomic_load(&a->settled[0])
           && atomic_load(&a->down) == atomic_load(&a->settled[1]);
}


static void
v2_rec_free(v2_users_t *us, uint32_t i)
{
    uint32_t       gen, u;
    v2_user_t     *user;
    v2_account_t  *a;

    a = v2_rec_account(us, i);
    u = a->user & (V2_SHM_USERS - 1);
    user = v2_rec_user(us, u);

    v2_map_del(&us->accounts, v2_rec_hash(us, a->node, user->id), i);
    us->node_n[v2_rec_node(a)]--;

    gen = atomic_load_explicit(&a->gen, memory_order_relaxed);
    atomic_store_explicit(&a->gen, v2_gen_next_life(gen),
                          memory_order_release);
    v2_rec_set_state(a, V2_REC_FREE);

    a->next = us->free_accounts;
    us->free_accounts = i + 1;

    if (--user->accounts == 0) {
        v2_rec_user_put(us, u);
    }
}


/* The row blocks of live workers. */

static uint32_t
v2_rec_blocks(const v2_shm_t *shm, uint32_t *blocks)
{
    uint32_t              i, n = 0;
    const v2_shm_proc_t  *p;

    for (i = 0; i < V2_SHM_PROCS; i++) {
        p = &shm->procs[i];

        if (atomic_load(&p->pid) != 0
            && atomic_load(&p->role) == V2_ROLE_WORKER
            && p->worker < V2_SHM_WORKERS)
        {
            blocks[n++] = p->worker;
        }
    }

    return n;
}
